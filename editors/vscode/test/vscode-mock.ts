/**
 * A stand-in for the editor's API, as far as the extension uses it: settings of a user and of a folder, documents,
 * commands, and a record of what the extension asked of the editor. Import it before anything that imports "vscode".
 */
import Module from "module";

type Listener = (event: any) => unknown;

export class EventEmitter {
  private listeners: Listener[] = [];
  event = (listener: Listener) => {
    this.listeners.push(listener);
    return { dispose: () => (this.listeners = this.listeners.filter((one) => one !== listener)) };
  };
  fire(event: any) {
    for (const listener of [...this.listeners]) listener(event);
  }
  dispose() {
    this.listeners = [];
  }
}

export class Position {
  constructor(readonly line: number, readonly character: number) {}
}

export class Range {
  start: Position;
  end: Position;
  constructor(a: any, b: any, c?: number, d?: number) {
    this.start = typeof a === "number" ? new Position(a, b) : a;
    this.end = typeof a === "number" ? new Position(c!, d!) : b;
  }
}

class InlineCompletionItem {
  filterText?: string;
  command?: unknown;
  constructor(readonly insertText: string, readonly range?: Range) {}
}

class Uri {
  constructor(readonly scheme: string, readonly path: string) {}
  static file = (path: string) => new Uri("file", path);
  static parse = (text: string) => new Uri(text.slice(0, text.indexOf(":")), text.replace(/^\w+:(\/\/)?/, ""));
  static from = (parts: { scheme: string; path: string }) => new Uri(parts.scheme, parts.path);
  toString() {
    return `${this.scheme}://${this.path}`;
  }
}

/** A document of one text whose edits fire events, as the editor's do. */
export class Document {
  version = 1;
  languageId = "python";
  eol = 1;
  readonly uri: Uri;
  constructor(path: string, public text: string, scheme = "file") {
    this.uri = new Uri(scheme, path);
  }
  private lines() {
    return this.text.split("\n");
  }
  get lineCount() {
    return this.lines().length;
  }
  lineAt(line: number) {
    const text = this.lines()[line];
    return { text, range: new Range(line, 0, line, text.length) };
  }
  offsetAt(at: Position) {
    return this.lines().slice(0, at.line).reduce((sum, line) => sum + line.length + 1, 0) + at.character;
  }
  positionAt(offset: number) {
    const before = this.text.slice(0, offset).split("\n");
    return new Position(before.length - 1, before[before.length - 1].length);
  }
  getText(range?: Range) {
    return range ? this.text.slice(this.offsetAt(range.start), this.offsetAt(range.end)) : this.text;
  }
  edit(offset: number, removed: number, text: string) {
    const range = new Range(this.positionAt(offset), this.positionAt(offset + removed));
    this.text = this.text.slice(0, offset) + text + this.text.slice(offset + removed);
    this.version++;
    events.change.fire({
      document: this,
      contentChanges: [{ range, rangeOffset: offset, rangeLength: removed, text }],
    });
  }
}

export const events = {
  open: new EventEmitter(),
  close: new EventEmitter(),
  change: new EventEmitter(),
  save: new EventEmitter(),
  folders: new EventEmitter(),
  configuration: new EventEmitter(),
  selection: new EventEmitter(),
  active: new EventEmitter(),
  visible: new EventEmitter(),
  tabs: new EventEmitter(),
};

const manifest = require("../../package.json");

/** What the person and what the folder have set, by key without "hearth.". */
export const userSettings: Record<string, any> = {};
export const folderSettings: Record<string, any> = {};
export const documents: Document[] = [];
export const commands = new Map<string, (...args: any[]) => any>();
/** What the extension asked of the editor: [function, arguments]. */
export const asked: [string, ...unknown[]][] = [];

const record = (name: string, answer?: unknown) => (...args: unknown[]) => {
  asked.push([name, ...args]);
  return Promise.resolve(answer);
};

const scopeOf = (key: string) => manifest.contributes.configuration.properties[`hearth.${key}`];

const disposable = { dispose() {} };

export const vscode: any = {
  EventEmitter,
  Position,
  Range,
  Uri,
  InlineCompletionItem,
  CancellationTokenSource: class {
    private emitter = new EventEmitter();
    token = { isCancellationRequested: false, onCancellationRequested: this.emitter.event };
    cancel() {
      this.token.isCancellationRequested = true;
      this.emitter.fire(undefined);
    }
    dispose() {}
  },
  ThemeColor: class {},
  TabInputTextDiff: class {},
  WorkspaceEdit: class {
    edits: unknown[] = [];
    replace(...args: unknown[]) {
      this.edits.push(args);
    }
  },
  InlineCompletionTriggerKind: { Invoke: 0, Automatic: 1 },
  StatusBarAlignment: { Right: 2 },
  ConfigurationTarget: { Global: 1 },
  ProgressLocation: { Notification: 15 },
  EndOfLine: { LF: 1, CRLF: 2 },
  commands: {
    registerCommand: (name: string, run: (...args: any[]) => any) => {
      commands.set(name, run);
      return { dispose: () => commands.delete(name) };
    },
    executeCommand: record("executeCommand"),
  },
  env: { clipboard: { writeText: record("clipboard") }, openExternal: record("openExternal", true) },
  languages: {
    registerInlineCompletionItemProvider: (_selector: unknown, provider: unknown) => {
      vscode.provider = provider;
      return disposable;
    },
  },
  window: {
    activeTextEditor: undefined,
    visibleTextEditors: [],
    tabGroups: { all: [], onDidChangeTabs: events.tabs.event, close: record("closeTabs", true) },
    onDidChangeVisibleTextEditors: events.visible.event,
    onDidChangeActiveTextEditor: events.active.event,
    onDidChangeTextEditorSelection: events.selection.event,
    createOutputChannel: () => ({ appendLine() {}, show() {}, dispose() {} }),
    createStatusBarItem: () => (vscode.statusBar = { show() {}, dispose() {} }),
    registerWebviewViewProvider: (_id: string, provider: unknown) => {
      vscode.chat = provider;
      return disposable;
    },
    showInformationMessage: record("info"),
    showWarningMessage: record("warning"),
    showErrorMessage: record("error"),
    showTextDocument: record("showTextDocument"),
    showQuickPick: record("quickPick"),
    showInputBox: record("inputBox"),
  },
  workspace: {
    textDocuments: documents,
    workspaceFolders: [],
    onDidOpenTextDocument: events.open.event,
    onDidCloseTextDocument: events.close.event,
    onDidChangeTextDocument: events.change.event,
    onDidSaveTextDocument: events.save.event,
    onDidChangeWorkspaceFolders: events.folders.event,
    onDidChangeConfiguration: events.configuration.event,
    registerTextDocumentContentProvider: () => disposable,
    applyEdit: record("applyEdit", true),
    /**
     * As harmful as can be: `get` gives a folder's value of any key, whatever its scope. The editor itself would not.
     */
    getConfiguration: () => ({
      get: (key: string, fallback?: unknown) => folderSettings[key] ?? userSettings[key] ?? scopeOf(key)?.default ?? fallback,
      inspect: (key: string) => ({
        defaultValue: scopeOf(key)?.default,
        globalValue: userSettings[key],
        workspaceValue: folderSettings[key],
        workspaceFolderValue: folderSettings[key],
      }),
      update: record("updateSetting"),
    }),
  },
};

const load = (Module as any)._load;
(Module as any)._load = function (request: string, ...rest: unknown[]) {
  return request === "vscode" ? vscode : load.call(this, request, ...rest);
};

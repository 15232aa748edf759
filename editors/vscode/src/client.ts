/** The session with `hearth lsp`: the process, the handshake, the documents, the state that is shown. */
import { spawn, type ChildProcess } from "child_process";
import * as os from "os";
import * as path from "path";
import * as vscode from "vscode";
import { Rpc, RpcError, type Cancellation, type Params } from "./rpc";
import { folderSettings, initializationOptions, needsRestart, userSetting } from "./settings";
import { Supervisor, type ProcessState } from "./supervisor";
import { visible } from "./text";

/** What `hearth/status` answers. */
export interface ServerStatus {
  state: "starting" | "loading" | "ready" | "failed";
  model: string;
  chatModel: string;
  message: string;
  file?: { allowed: boolean; reason: string };
}

export interface ClientState {
  process: ProcessState;
  /** Why the process is not running. */
  message: string;
  server?: ServerStatus;
}

interface Session {
  rpc: Rpc;
  ready: Promise<void>;
  /** Documents that the server has; empty until it is initialized. */
  open: Set<string>;
  initialized: boolean;
}

/** Longer documents are not sent, so that typing in one does not stall. */
const DOCUMENT_MAX = 4 * 1024 * 1024;

/** The documents that are the server's concern: files and new ones, not the editor's own pages. */
export const SELECTOR: vscode.DocumentSelector = [{ scheme: "file" }, { scheme: "untitled" }];

export function isServed(document: vscode.TextDocument): boolean {
  return document.uri.scheme === "file" || document.uri.scheme === "untitled";
}

/**
 * The program to run. A relative path would be looked for in some folder, perhaps a stranger's: it must be a plain
 * name, or whole.
 */
export function programPath(): string {
  let program = userSetting<string>("path").trim() || "hearth";
  if (program.startsWith("~/")) program = path.join(os.homedir(), program.slice(2));
  if (/[/\\]/.test(program) && !path.isAbsolute(program)) {
    throw new Error(`hearth.path: "${program}" is neither a name nor a whole path`);
  }
  return program;
}

/** The environment of every process that is started here. */
export function programEnvironment(): NodeJS.ProcessEnv {
  const home = userSetting<string>("home");
  return home ? { ...process.env, HEARTH_HOME: home } : process.env;
}

export function position(at: vscode.Position): Params {
  return { line: at.line, character: at.character };
}

export function range(of: vscode.Range): Params {
  return { start: position(of.start), end: position(of.end) };
}

export class Client implements vscode.Disposable {
  state: ClientState = { process: "stopped", message: "" };
  private readonly changed = new vscode.EventEmitter<ClientState>();
  readonly onState = this.changed.event;
  private readonly delta = new vscode.EventEmitter<{ token: string; text: string }>();
  readonly onChatDelta = this.delta.event;
  private readonly disposables: vscode.Disposable[] = [this.changed, this.delta];
  private readonly supervisor: Supervisor;
  private session: Session | undefined;
  /** Documents that the person has seen, by URI: the editor opens others for itself, such as its settings. */
  private readonly seen = new Set<string>();

  constructor(private readonly log: vscode.OutputChannel) {
    this.supervisor = new Supervisor({
      // Not in the workspace's folder: nothing there may be taken for a program or a configuration.
      spawn: () =>
        spawn(programPath(), ["lsp"], { cwd: os.homedir(), env: programEnvironment(), stdio: "pipe", shell: false }),
      started: (child) => this.begin(child),
      ended: () => this.end(),
      askToEnd: () => this.askToEnd(),
      stateChanged: (state, message) => {
        this.log.appendLine(`hearth is ${state}${message ? `: ${message}` : ""}`);
        this.set({ process: state, message: visible(message), server: undefined });
      },
      log: (line) => this.log.appendLine(line),
    });
    this.disposables.push(
      vscode.window.onDidChangeVisibleTextEditors((editors) => editors.forEach((one) => this.show(one.document))),
      // A document gets another language by being closed and opened.
      vscode.workspace.onDidOpenTextDocument((document) => this.opened(document)),
      vscode.workspace.onDidCloseTextDocument((document) => this.closed(document)),
      vscode.workspace.onDidChangeTextDocument((event) => this.edited(event)),
      vscode.workspace.onDidSaveTextDocument((document) => this.saved(document)),
      vscode.workspace.onDidChangeWorkspaceFolders((event) => this.foldersChanged(event)),
      vscode.workspace.onDidChangeConfiguration((event) => this.configured(event)),
    );
  }

  start(): void {
    this.supervisor.start();
  }

  restart(): Promise<void> {
    return this.supervisor.restart();
  }

  stop(): Promise<void> {
    return this.supervisor.stop();
  }

  dispose(): void {
    for (const one of this.disposables) one.dispose();
    void this.stop();
  }

  /** Waits for the handshake. Rejects with an `RpcError`, also where no process runs. */
  async request<T>(method: string, params: Params, token?: Cancellation): Promise<T> {
    const session = this.session;
    if (!session) throw new RpcError(-32099, this.state.message || "hearth is not running");
    await session.ready;
    return session.rpc.request<T>(method, params, token);
  }

  notify(method: string, params: Params): void {
    if (this.session?.initialized) this.session.rpc.notify(method, params);
  }

  /** The server gets `document` from now on, if it is one to be served and is not too long. */
  show(document: vscode.TextDocument): void {
    this.seen.add(document.uri.toString());
    this.opened(document);
  }

  private set(state: Partial<ClientState>): void {
    this.state = { ...this.state, ...state };
    this.changed.fire(this.state);
  }

  private begin(child: ChildProcess): void {
    const rpc = new Rpc(child.stdout!, child.stdin!, (reason) => {
      this.log.appendLine(`hearth sent what cannot be read: ${reason.message}`);
      child.kill();
    });
    const session: Session = { rpc, ready: Promise.resolve(), open: new Set(), initialized: false };
    this.session = session;
    this.listen(rpc);
    session.ready = this.shakeHands(session);
    session.ready.catch((error) => {
      this.log.appendLine(`the handshake failed: ${error.message}`);
      child.kill();
    });
  }

  private end(): void {
    this.session?.rpc.close();
    this.session = undefined;
  }

  private askToEnd(): void {
    const rpc = this.session?.rpc;
    if (!rpc) return;
    const exit = () => rpc.notify("exit");
    rpc.request("shutdown").then(exit, exit);
  }

  private listen(rpc: Rpc): void {
    rpc.onRequest("workspace/configuration", (params) =>
      (Array.isArray(params?.items) ? params.items : []).map((item: { section?: string; scopeUri?: string }) =>
        item.section === "hearth" ? folderSettings(item.scopeUri ? vscode.Uri.parse(item.scopeUri) : undefined) : null,
      ),
    );
    rpc.onRequest("client/registerCapability", () => null);
    rpc.onRequest("client/unregisterCapability", () => null);
    rpc.onRequest("window/workDoneProgress/create", () => null);
    rpc.onRequest("window/showMessageRequest", (params) => this.tell(params));
    rpc.onRequest("workspace/workspaceFolders", () => folders(vscode.workspace.workspaceFolders ?? []));
    // Changes to files come only as proposals that the person sees first.
    rpc.onRequest("workspace/applyEdit", () => ({ applied: false }));
    rpc.onNotification("window/showMessage", (params) => this.tell(params));
    rpc.onNotification("window/logMessage", (params) => this.log.appendLine(visible(String(params?.message))));
    rpc.onNotification("hearth/statusChanged", (params) => this.set({ server: params as ServerStatus }));
    rpc.onNotification("hearth/chatDelta", (params) =>
      this.delta.fire({ token: String(params?.token), text: String(params?.text) }),
    );
  }

  private tell(params: { type?: number; message?: string }): null {
    const text = visible(String(params?.message));
    if (params?.type === 1) void vscode.window.showErrorMessage(`Hearth: ${text}`);
    else if (params?.type === 2) void vscode.window.showWarningMessage(`Hearth: ${text}`);
    else this.log.appendLine(text);
    return null;
  }

  private async shakeHands(session: Session): Promise<void> {
    await session.rpc.request("initialize", {
      processId: process.pid,
      clientInfo: { name: "hearth-vscode" },
      rootUri: null,
      workspaceFolders: folders(vscode.workspace.workspaceFolders ?? []),
      initializationOptions: initializationOptions(),
      capabilities: {
        general: { positionEncodings: ["utf-16"] },
        textDocument: { synchronization: { didSave: true }, inlineCompletion: {} },
        window: { workDoneProgress: true },
        workspace: { configuration: true, didChangeConfiguration: {}, workspaceFolders: true },
      },
    });
    session.rpc.notify("initialized");
    session.initialized = true;
    for (const one of vscode.window.visibleTextEditors) this.seen.add(one.document.uri.toString());
    for (const document of vscode.workspace.textDocuments) this.opened(document);
    const status = await session.rpc.request<ServerStatus>("hearth/status");
    if (this.session === session) this.set({ server: status });
  }

  private opened(document: vscode.TextDocument): void {
    const session = this.session;
    if (!session?.initialized || !isServed(document)) return;
    const uri = document.uri.toString();
    if (!this.seen.has(uri) || session.open.has(uri)) return;
    const text = document.getText();
    if (text.length > DOCUMENT_MAX) return;
    session.open.add(uri);
    session.rpc.notify("textDocument/didOpen", {
      textDocument: { uri, languageId: document.languageId, version: document.version, text },
    });
  }

  private closed(document: vscode.TextDocument): void {
    const uri = document.uri.toString();
    if (this.session?.open.delete(uri)) this.session.rpc.notify("textDocument/didClose", { textDocument: { uri } });
  }

  private saved(document: vscode.TextDocument): void {
    const uri = document.uri.toString();
    if (this.session?.open.has(uri)) this.session.rpc.notify("textDocument/didSave", { textDocument: { uri } });
  }

  private edited(event: vscode.TextDocumentChangeEvent): void {
    const uri = event.document.uri.toString();
    if (!this.session?.open.has(uri) || event.contentChanges.length === 0) return;
    // The editor gives the changes in an order in which each fits the text that the ones before it have left.
    this.session.rpc.notify("textDocument/didChange", {
      textDocument: { uri, version: event.document.version },
      contentChanges: event.contentChanges.map((change) => ({ range: range(change.range), text: change.text })),
    });
  }

  private foldersChanged(event: vscode.WorkspaceFoldersChangeEvent): void {
    this.notify("workspace/didChangeWorkspaceFolders", {
      event: { added: folders(event.added), removed: folders(event.removed) },
    });
  }

  private configured(event: vscode.ConfigurationChangeEvent): void {
    if (!event.affectsConfiguration("hearth")) return;
    if (needsRestart(event)) {
      void this.restart();
      return;
    }
    const models: Params = {};
    for (const key of ["model", "chatModel"] as const) {
      const value = userSetting<string>(key);
      if (event.affectsConfiguration(`hearth.${key}`) && value) models[key] = value;
    }
    if (Object.keys(models).length) {
      this.request("workspace/executeCommand", { command: "hearth.setModel", arguments: [models] }).catch((error) =>
        vscode.window.showErrorMessage(`Hearth: ${visible(error.message)}`),
      );
    }
    this.notify("workspace/didChangeConfiguration", { settings: { hearth: folderSettings() } });
  }
}

function folders(of: readonly vscode.WorkspaceFolder[]): Params[] {
  return of.map((folder) => ({ uri: folder.uri.toString(), name: folder.name }));
}

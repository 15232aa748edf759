/** Ghost text: the provider, and word to the server of what became of each completion. */
import * as vscode from "vscode";
import { isServed, position, range, type Client } from "./client";
import { follow, type Ghost } from "./ghost";
import { RpcError } from "./rpc";
import { completionEnabled } from "./settings";

interface LspPosition {
  line: number;
  character: number;
}

interface LspItem {
  insertText: string;
  filterText?: string;
  range?: { start: LspPosition; end: LspPosition };
  command?: { command: string; arguments?: unknown[] };
  data?: { id?: string };
}

/** The editor's item, with the server's own beside it. */
class Item extends vscode.InlineCompletionItem {
  constructor(
    readonly lsp: LspItem,
    at: vscode.Range,
  ) {
    super(lsp.insertText, at);
    this.filterText = lsp.filterText;
    this.command = { title: "Accepted", command: "hearth.accepted", arguments: lsp.command?.arguments ?? [] };
  }
}

export class InlineProvider implements vscode.InlineCompletionItemProvider, vscode.Disposable {
  private readonly disposables: vscode.Disposable[];
  private ghost: Ghost | undefined;
  private told: { item: unknown; length: number } = { item: undefined, length: 0 };

  constructor(private readonly client: Client) {
    this.disposables = [
      // The item's command: the editor runs it when all of the item was accepted.
      vscode.commands.registerCommand("hearth.accepted", (...args: unknown[]) => this.accepted(args)),
      vscode.workspace.onDidChangeTextDocument((event) => this.edited(event)),
      vscode.window.onDidChangeTextEditorSelection((event) => this.moved(event)),
      vscode.window.onDidChangeActiveTextEditor(() => this.dismiss()),
    ];
  }

  dispose(): void {
    for (const one of this.disposables) one.dispose();
  }

  async provideInlineCompletionItems(
    document: vscode.TextDocument,
    at: vscode.Position,
    context: vscode.InlineCompletionContext,
    token: vscode.CancellationToken,
  ): Promise<vscode.InlineCompletionItem[]> {
    if (!isServed(document) || !completionEnabled(document) || !this.client.state.server) return [];
    this.client.show(document);
    const selected = context.selectedCompletionInfo;
    let answer: { items?: LspItem[] } | LspItem[] | null;
    try {
      answer = await this.client.request("textDocument/inlineCompletion", {
        textDocument: { uri: document.uri.toString() },
        position: position(at),
        context: {
          triggerKind: context.triggerKind === vscode.InlineCompletionTriggerKind.Invoke ? 1 : 2,
          ...(selected && { selectedCompletionInfo: { range: range(selected.range), text: selected.text } }),
        },
      }, token);
    } catch (error) {
      // An answer that nobody waits for; other errors are in the log and in the state already.
      if (error instanceof RpcError) return [];
      throw error;
    }
    if (token.isCancellationRequested) return [];
    const items = Array.isArray(answer) ? answer : (answer?.items ?? []);
    const made = items.filter((item) => typeof item?.insertText === "string").map((item) => new Item(item, rangeOf(item, at)));
    if (made[0]) this.shown(document, made[0], at);
    return made;
  }

  /** Called where the editor grants its events to this extension; elsewhere the server counts answers as shown. */
  handleDidShowCompletionItem(item: vscode.InlineCompletionItem): void {
    if (item instanceof Item) this.client.notify("textDocument/didShowCompletion", { item: item.lsp });
  }

  /** As above: `info` is a length, or an object that has it. */
  handleDidPartiallyAcceptCompletionItem(item: vscode.InlineCompletionItem, info: unknown): void {
    const length = typeof info === "number" ? info : (info as { acceptedLength?: number } | undefined)?.acceptedLength;
    if (item instanceof Item && typeof length === "number") this.partlyAccepted(item.lsp, length);
  }

  private shown(document: vscode.TextDocument, item: Item, at: vscode.Position): void {
    const start = document.offsetAt(item.range!.start);
    const typed = document.offsetAt(at) - start;
    // Text that stands before the cursor already must begin the item, else it cannot be followed.
    const same = typed >= 0 && document.getText(new vscode.Range(item.range!.start, at)) === item.lsp.insertText.slice(0, typed);
    this.ghost = same
      ? { item: item.lsp, uri: document.uri.toString(), insertText: item.lsp.insertText, offset: start, taken: typed, accepted: false }
      : undefined;
  }

  /** Told by the editor, by the document's changes, or by both: said once. */
  private partlyAccepted(item: unknown, acceptedLength: number): void {
    if (this.told.item === item && acceptedLength <= this.told.length) return;
    this.told = { item, length: acceptedLength };
    this.client.notify("textDocument/didPartiallyAcceptCompletion", { item, acceptedLength });
  }

  private accepted(args: unknown[]): void {
    this.ghost = undefined;
    this.client
      .request("workspace/executeCommand", { command: "hearth.accepted", arguments: args })
      .catch(() => undefined);
  }

  private edited(event: vscode.TextDocumentChangeEvent): void {
    const ghost = this.ghost;
    if (!ghost || event.contentChanges.length === 0 || event.document.uri.toString() !== ghost.uri) return;
    if (event.contentChanges.length > 1) {
      this.ghost = undefined;
      return;
    }
    const change = event.contentChanges[0];
    // Accepting a part may write the text before it anew: only what is added counts.
    const added = withoutSameStart(ghost, change);
    const fate = follow(ghost, added.offset, added.removed, added.text);
    if (fate === "accepted part") this.partlyAccepted(ghost.item, ghost.taken);
    if (fate === "gone") this.dismiss();
    else if (fate === "accepted all") this.ghost = undefined;
  }

  private moved(event: vscode.TextEditorSelectionChangeEvent): void {
    const ghost = this.ghost;
    if (!ghost || event.textEditor.document.uri.toString() !== ghost.uri) return;
    if (event.textEditor.document.offsetAt(event.selections[0].active) !== ghost.offset + ghost.taken) this.dismiss();
  }

  /** Taken away unused. What was partly accepted is counted by that. */
  private dismiss(): void {
    const ghost = this.ghost;
    this.ghost = undefined;
    if (ghost && !ghost.accepted) this.client.notify("textDocument/didDismissCompletion", { item: ghost.item });
  }
}

function rangeOf(item: LspItem, at: vscode.Position): vscode.Range {
  const given = item.range;
  if (!given) return new vscode.Range(at, at);
  return new vscode.Range(given.start.line, given.start.character, given.end.line, given.end.character);
}

function withoutSameStart(ghost: Ghost, change: vscode.TextDocumentContentChangeEvent) {
  const before = ghost.offset + ghost.taken - change.rangeOffset;
  const known = ghost.insertText.slice(ghost.taken - before, ghost.taken);
  if (before <= 0 || before > ghost.taken || change.rangeLength < before || !change.text.startsWith(known)) {
    return { offset: change.rangeOffset, removed: change.rangeLength, text: change.text };
  }
  return {
    offset: change.rangeOffset + before,
    removed: change.rangeLength - before,
    text: change.text.slice(before),
  };
}

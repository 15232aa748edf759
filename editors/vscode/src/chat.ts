/** The chat view. The webview draws trees of text and sends wishes; every text and every act is here. */
import { randomBytes } from "crypto";
import * as vscode from "vscode";
import { isServed, range, type Client } from "./client";
import { placeBlock } from "./diff";
import { parseMarkdown, webUrl, type Block } from "./markdown";
import type { Proposals } from "./proposal";
import { RpcError } from "./rpc";
import { fileLabel, visible } from "./text";

interface Turn {
  role: "user" | "assistant";
  text: string;
  /** What is shown of a failure; it is not sent back to the model. */
  error?: string;
  pending: boolean;
}

interface ChatAnswer {
  text: string;
  finish: string;
}

/** How often a stream is drawn, in milliseconds. */
const DRAW_MS = 60;
const QUESTION_MAX = 100_000;

export class Chat implements vscode.WebviewViewProvider, vscode.Disposable {
  private turns: Turn[] = [];
  private view: vscode.WebviewView | undefined;
  private running: { token: string; turn: Turn; cancel: vscode.CancellationTokenSource } | undefined;
  private timer: NodeJS.Timeout | undefined;
  private count = 0;
  private readonly disposables: vscode.Disposable[];

  constructor(
    private readonly extensionUri: vscode.Uri,
    private readonly client: Client,
    private readonly proposals: Proposals,
  ) {
    this.disposables = [
      vscode.window.registerWebviewViewProvider("hearth.chat", this, { webviewOptions: { retainContextWhenHidden: true } }),
      client.onChatDelta((delta) => this.streamed(delta)),
      vscode.window.onDidChangeActiveTextEditor(() => this.postContext()),
      vscode.window.onDidChangeTextEditorSelection(() => this.postContext()),
      vscode.commands.registerCommand("hearth.newChat", () => this.reset()),
      vscode.commands.registerCommand("hearth.explainSelection", () => this.explain()),
    ];
  }

  dispose(): void {
    this.running?.cancel.cancel();
    clearTimeout(this.timer);
    for (const one of this.disposables) one.dispose();
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.view = view;
    const media = vscode.Uri.joinPath(this.extensionUri, "media");
    view.webview.options = { enableScripts: true, localResourceRoots: [media], enableCommandUris: false };
    view.webview.onDidReceiveMessage((message) => void this.receive(message));
    view.onDidDispose(() => (this.view = undefined));
    view.webview.html = chatHtml(
      view.webview.cspSource,
      view.webview.asWebviewUri(vscode.Uri.joinPath(media, "chat.js")).toString(),
      view.webview.asWebviewUri(vscode.Uri.joinPath(media, "chat.css")).toString(),
      randomBytes(16).toString("hex"),
    );
  }

  private async receive(message: unknown): Promise<void> {
    if (typeof message !== "object" || message === null) return;
    const { type, text, context, turn, block, url } = message as Record<string, unknown>;
    if (type === "ready") this.draw();
    else if (type === "send" && typeof text === "string") await this.ask(text.slice(0, QUESTION_MAX), context === true);
    else if (type === "stop") this.running?.cancel.cancel();
    else if (type === "link" && typeof url === "string") await openLink(url);
    else if (type === "copy" || type === "insert" || type === "apply") {
      const code = this.code(turn, block);
      if (code !== undefined) await this.act(type, code);
    }
  }

  /** The text of a code block by its place: what the webview says about it is not believed. */
  private code(turn: unknown, block: unknown): string | undefined {
    const source = typeof turn === "number" ? this.turns[turn]?.text : undefined;
    const found = source !== undefined && typeof block === "number" ? parseMarkdown(source)[block] : undefined;
    return found?.kind === "code" ? found.text : undefined;
  }

  private async act(type: "copy" | "insert" | "apply", code: string): Promise<void> {
    if (type === "copy") {
      await vscode.env.clipboard.writeText(code);
      return;
    }
    const editor = currentEditor();
    if (!editor) {
      void vscode.window.showWarningMessage("Hearth: open a file first.");
      return;
    }
    if (type === "insert") {
      await editor.edit((edit) => edit.replace(...placeInsertion(editor, code)));
      await vscode.window.showTextDocument(editor.document, editor.viewColumn);
      return;
    }
    const { document, selection } = editor;
    const end = selection.end.line + (selection.end.character > 0 ? 1 : 0);
    const selected = selection.isEmpty ? undefined : { start: selection.start.line, end };
    const placement = placeBlock(document.getText(), code, selection.active.line, selected);
    await this.proposals.propose(document, document.version, placement);
  }

  private reset(): void {
    this.running?.cancel.cancel();
    this.turns = [];
    this.draw();
  }

  private async explain(): Promise<void> {
    await vscode.commands.executeCommand("hearth.chat.focus");
    await this.ask("Explain the selected code.", true);
  }

  private async ask(text: string, withContext: boolean): Promise<void> {
    if (this.running || text.trim() === "") return;
    const turn: Turn = { role: "assistant", text: "", pending: true };
    this.turns.push({ role: "user", text, pending: false }, turn);
    const token = `chat-${++this.count}`;
    const cancel = new vscode.CancellationTokenSource();
    this.running = { token, turn, cancel };
    this.draw();
    try {
      const answer = await this.client.request<ChatAnswer>(
        "hearth/chat",
        { messages: this.messages(), token, context: withContext ? currentContext() : [] },
        cancel.token,
      );
      turn.text = answer.text;
      if (answer.finish === "length") turn.error = "The answer was cut at its greatest length.";
    } catch (error) {
      const stopped = error instanceof RpcError && error.code === -32800;
      turn.error = stopped ? "Stopped." : visible((error as Error).message);
    }
    turn.pending = false;
    this.running = undefined;
    cancel.dispose();
    this.draw();
  }

  private messages(): { role: string; content: string }[] {
    return this.turns.filter((turn) => turn.text !== "").map((turn) => ({ role: turn.role, content: turn.text }));
  }

  private streamed(delta: { token: string; text: string }): void {
    if (delta.token !== this.running?.token) return;
    this.running.turn.text += delta.text;
    this.timer ??= setTimeout(() => this.draw(), DRAW_MS);
  }

  private draw(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    void this.view?.webview.postMessage({ type: "turns", turns: this.turns.map(drawn), busy: this.running !== undefined });
    this.postContext();
  }

  private postContext(): void {
    const editor = currentEditor();
    const lines = editor && !editor.selection.isEmpty ? `, lines ${editor.selection.start.line + 1}–${editor.selection.end.line + 1}` : "";
    const name = editor ? fileLabel(editor.document.uri.path) + lines : "";
    void this.view?.webview.postMessage({ type: "context", name });
  }
}

function drawn(turn: Turn): { role: string; blocks: Block[]; error: string; pending: boolean } {
  // A question is shown as it was written.
  const blocks: Block[] =
    turn.role === "user" ? [{ kind: "paragraph", spans: [{ kind: "text", text: visible(turn.text) }] }] : shownBlocks(turn.text);
  return { role: turn.role, blocks, error: turn.error ?? "", pending: turn.pending };
}

/** Code is shown with its hidden characters made visible; what is copied or inserted is the model's own text. */
function shownBlocks(text: string): Block[] {
  return parseMarkdown(text).map((block) => (block.kind === "code" ? { ...block, text: visible(block.text) } : block));
}

/** Over the selection, or at the cursor; more than a line not into the middle of one, but below it. */
function placeInsertion(editor: vscode.TextEditor, code: string): [vscode.Range, string] {
  const line = editor.document.lineAt(editor.selection.active.line);
  if (!editor.selection.isEmpty || !code.includes("\n") || line.text.trim() === "") return [editor.selection, code];
  return [new vscode.Range(line.range.end, line.range.end), `\n${code}`];
}

function currentEditor(): vscode.TextEditor | undefined {
  const served = (editor: vscode.TextEditor | undefined) => (editor && isServed(editor.document) ? editor : undefined);
  return served(vscode.window.activeTextEditor) ?? vscode.window.visibleTextEditors.find((editor) => served(editor));
}

function currentContext() {
  const editor = currentEditor();
  if (!editor) return [];
  const uri = editor.document.uri.toString();
  return [editor.selection.isEmpty ? { uri } : { uri, range: range(editor.selection) }];
}

/** Nothing is opened before the person has seen the whole address. */
async function openLink(text: string): Promise<void> {
  const url = webUrl(text);
  if (!url) return;
  const options = { modal: true, detail: `${url}\n\nThe model wrote this address. Opening it tells its server about you.` };
  const answer = await vscode.window.showWarningMessage("Open this link in the browser?", options, "Open", "Copy");
  if (answer === "Open") await vscode.env.openExternal(vscode.Uri.parse(url, true));
  else if (answer === "Copy") await vscode.env.clipboard.writeText(url);
}

/** The page: nothing is loaded but the extension's own script and style, nothing is fetched, no form is sent. */
export function chatHtml(source: string, script: string, style: string, nonce: string): string {
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src ${source}; img-src 'none'; connect-src 'none'; form-action 'none'; base-uri 'none'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<link rel="stylesheet" href="${style}">
<title>Hearth</title>
</head>
<body>
<main id="turns" aria-live="polite"></main>
<div id="ask">
<label id="with"><input type="checkbox" id="context" checked> <span id="name"></span></label>
<textarea id="text" rows="3" placeholder="Ask the model on this machine" aria-label="Question"></textarea>
<div id="buttons"><button id="send">Send</button><button id="stop" hidden>Stop</button></div>
</div>
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>`;
}

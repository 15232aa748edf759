/** Inline edit: an instruction, a proposal, yes or no. */
import * as vscode from "vscode";
import { range, type Client } from "./client";
import type { Proposals } from "./proposal";
import { RpcError } from "./rpc";
import { visible } from "./text";

interface EditAnswer {
  newText: string;
  range: { start: { line: number; character: number }; end: { line: number; character: number } };
  version: number;
}

export async function inlineEdit(client: Client, proposals: Proposals): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  if (!editor) return;
  const document = editor.document;
  const selection: vscode.Range = editor.selection.isEmpty
    ? document.lineAt(editor.selection.active.line).range
    : editor.selection;
  const instruction = await vscode.window.showInputBox({
    title: "Hearth: edit with instruction",
    prompt: `What to do with line${selection.isSingleLine ? "" : "s"} ${selection.start.line + 1}${selection.isSingleLine ? "" : ` to ${selection.end.line + 1}`}`,
    placeHolder: "for example: use a dictionary",
  });
  if (!instruction?.trim()) return;
  const version = document.version;
  client.show(document);
  try {
    const answer = await vscode.window.withProgress(
      { location: vscode.ProgressLocation.Notification, title: "Hearth is editing", cancellable: true },
      (_progress, token) =>
        client.request<EditAnswer>(
          "hearth/edit",
          { textDocument: { uri: document.uri.toString() }, range: range(selection), instruction },
          token,
        ),
    );
    await proposals.propose(document, version, placementOf(answer, document));
  } catch (error) {
    if (error instanceof RpcError && error.code === -32800) return;
    void vscode.window.showErrorMessage(`Hearth: ${visible((error as Error).message)}`);
  }
}

/** The server answers with whole lines: to the beginning of the line behind them, or to the end of the last one. */
function placementOf(answer: EditAnswer, document: vscode.TextDocument) {
  const { start, end } = answer.range;
  const whole = end.character === 0 && end.line > start.line;
  const text = whole ? answer.newText.replace(/\r?\n$/, "") : answer.newText;
  return { start: start.line, end: whole ? end.line : Math.min(end.line + 1, document.lineCount), text };
}

/** A change that a model proposes: shown as a diff, made only when the person accepts it. */
import * as vscode from "vscode";
import { applyPlacement, changedLines, type Placement } from "./diff";
import { fileLabel } from "./text";

const SCHEME = "hearth-proposal";

interface Proposal {
  document: vscode.TextDocument;
  version: number;
  after: string;
  shown: vscode.Uri;
}

export class Proposals implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly disposables: vscode.Disposable[];
  private current: Proposal | undefined;
  private count = 0;

  constructor() {
    this.disposables = [
      vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
      vscode.commands.registerCommand("hearth.acceptProposal", () => this.accept()),
      vscode.commands.registerCommand("hearth.discardProposal", () => this.discard()),
      vscode.window.tabGroups.onDidChangeTabs((event) => this.tabsClosed(event.closed)),
    ];
  }

  dispose(): void {
    for (const one of this.disposables) one.dispose();
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.current?.shown.toString() === uri.toString() ? this.current.after : "";
  }

  /** Shows what `placement` would make of `document`, which must still be at `version`. */
  async propose(document: vscode.TextDocument, version: number, placement: Placement): Promise<void> {
    if (document.version !== version) {
      void vscode.window.showWarningMessage("Hearth: the file has changed meanwhile; ask again.");
      return;
    }
    await this.discard();
    const before = document.getText();
    const after = applyPlacement(before, placement);
    if (after === before) {
      void vscode.window.showInformationMessage("Hearth: nothing to change.");
      return;
    }
    const shown = vscode.Uri.from({ scheme: SCHEME, path: document.uri.path, query: String(++this.count) });
    const proposal = { document, version, after, shown };
    this.current = proposal;
    await this.setContext(true);
    const title = `${fileLabel(document.uri.path)}: proposed by Hearth`;
    await vscode.commands.executeCommand("vscode.diff", document.uri, shown, title, { preview: true });
    void vscode.window.showInformationMessage("Hearth proposes a change.", "Accept", "Discard").then((answer) => {
      if (this.current !== proposal) return;
      if (answer === "Accept") void this.accept();
      else if (answer === "Discard") void this.discard();
    });
  }

  private async accept(): Promise<void> {
    const proposal = this.current;
    if (!proposal) return;
    if (proposal.document.version !== proposal.version) {
      void vscode.window.showWarningMessage("Hearth: the file has changed since; the proposal no longer fits.");
      return;
    }
    const { start, end, lines } = changedLines(proposal.document.getText(), proposal.after);
    const edit = new vscode.WorkspaceEdit();
    edit.replace(proposal.document.uri, lineRange(proposal.document, start, end), replacement(proposal.document, start, end, lines));
    const done = await vscode.workspace.applyEdit(edit);
    if (!done) {
      void vscode.window.showErrorMessage("Hearth: the editor did not take the change.");
      return;
    }
    await this.discard();
    await vscode.window.showTextDocument(proposal.document);
  }

  /** Closes the diff; the document stays as it is. */
  private async discard(): Promise<void> {
    const proposal = this.current;
    if (!proposal) return;
    this.current = undefined;
    await this.setContext(false);
    const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs.filter((tab) => shows(tab, proposal.shown)));
    if (tabs.length) await vscode.window.tabGroups.close(tabs);
  }

  private tabsClosed(closed: readonly vscode.Tab[]): void {
    const proposal = this.current;
    if (proposal && closed.some((tab) => shows(tab, proposal.shown))) void this.discard();
  }

  private async setContext(on: boolean): Promise<void> {
    await vscode.commands.executeCommand("setContext", "hearth.proposal", on);
  }
}

function shows(tab: vscode.Tab, uri: vscode.Uri): boolean {
  return tab.input instanceof vscode.TabInputTextDiff && tab.input.modified.toString() === uri.toString();
}

/** Lines `start` to `end` with their line ends; at the end of the document, with the line end in front of them. */
function lineRange(document: vscode.TextDocument, start: number, end: number): vscode.Range {
  const last = document.lineAt(document.lineCount - 1).range.end;
  if (end < document.lineCount) return new vscode.Range(start, 0, end, 0);
  if (start === 0) return new vscode.Range(0, 0, last.line, last.character);
  return new vscode.Range(document.lineAt(start - 1).range.end, last);
}

function replacement(document: vscode.TextDocument, start: number, end: number, lines: string[]): string {
  const eol = document.eol === vscode.EndOfLine.CRLF ? "\r\n" : "\n";
  if (end < document.lineCount) return lines.map((line) => line + eol).join("");
  if (start === 0) return lines.join(eol);
  return lines.map((line) => eol + line).join("");
}

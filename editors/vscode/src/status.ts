/** The status bar: which model, and what it is doing. */
import * as vscode from "vscode";
import { isServed, type Client, type ClientState, type ServerStatus } from "./client";
import { completionEnabled } from "./settings";
import { label } from "./text";

const REASONS: Record<string, string> = {
  secret: "no completion here: by its name this file holds secrets",
  ignored: "no completion here: .gitignore excludes this file",
  language: "completion is off for this language",
  disabled: "completion is off",
};

/** What the status bar shows: an icon, a text, and whether it is a failure. */
export function statusText(state: ClientState, off: boolean, reason: string): { text: string; tooltip: string; failed: boolean } {
  const model = label(state.server?.model || "Hearth", 40);
  const make = (icon: string, what: string, failed = false) => ({ text: `$(${icon}) ${model}`, tooltip: `Hearth: ${what}`, failed });
  if (state.process === "failed") return make("error", `stopped after crashes. ${label(state.message, 300)}`, true);
  if (state.process === "waiting") return make("warning", `starting again. ${label(state.message, 300)}`);
  if (state.process === "stopped") return make("circle-slash", "not running");
  const server = state.server;
  if (!server || server.state === "starting") return make("loading~spin", "starting");
  if (server.state === "loading") return make("loading~spin", "loading the model");
  if (server.state === "failed") return make("error", label(server.message, 300), true);
  if (off || REASONS[reason]) return make("circle-slash", REASONS[reason] ?? "completion is off");
  const chat = server.chatModel === server.model ? "" : `; chat by ${label(server.chatModel, 40)}`;
  return make("check", `ready${chat}`);
}

export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("hearth.status", vscode.StatusBarAlignment.Right, 100);
  private readonly disposables: vscode.Disposable[];
  private reason = "";
  private asked = 0;

  constructor(private readonly client: Client) {
    this.item.name = "Hearth";
    this.item.command = "hearth.menu";
    this.disposables = [
      this.item,
      client.onState(() => this.refresh()),
      vscode.window.onDidChangeActiveTextEditor(() => this.refresh()),
      vscode.workspace.onDidChangeConfiguration(() => this.refresh()),
    ];
    this.refresh();
    this.item.show();
  }

  dispose(): void {
    for (const one of this.disposables) one.dispose();
  }

  private refresh(): void {
    this.draw();
    void this.askAboutFile();
  }

  private draw(): void {
    const document = vscode.window.activeTextEditor?.document;
    const shown = statusText(this.client.state, document ? !completionEnabled(document) : false, this.reason);
    this.item.text = shown.text;
    this.item.tooltip = shown.tooltip;
    this.item.backgroundColor = shown.failed ? new vscode.ThemeColor("statusBarItem.errorBackground") : undefined;
  }

  /** Whether the active file may be completed. The newest question wins. */
  private async askAboutFile(): Promise<void> {
    const number = ++this.asked;
    const document = vscode.window.activeTextEditor?.document;
    let reason = "";
    if (document && isServed(document) && this.client.state.server) {
      const uri = document.uri.toString();
      const answer = await this.client.request<ServerStatus>("hearth/status", { uri }).catch(() => undefined);
      reason = answer?.file && !answer.file.allowed ? answer.file.reason : "";
    }
    if (number !== this.asked) return;
    this.reason = reason;
    this.draw();
  }
}

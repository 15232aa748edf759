/** Where everything is put together. */
import * as vscode from "vscode";
import { Chat } from "./chat";
import { Client, SELECTOR } from "./client";
import { inlineEdit } from "./edit";
import { InlineProvider } from "./inline";
import { pickModel, pullModel } from "./models";
import { Proposals } from "./proposal";
import { StatusBar } from "./status";

let client: Client | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel("Hearth");
  const session = new Client(log);
  client = session;
  const proposals = new Proposals();
  const inline = new InlineProvider(session);
  const command = (name: string, run: () => unknown) => vscode.commands.registerCommand(name, run);
  context.subscriptions.push(
    log,
    session,
    proposals,
    inline,
    new StatusBar(session),
    new Chat(context.extensionUri, session, proposals),
    vscode.languages.registerInlineCompletionItemProvider(SELECTOR, inline),
    command("hearth.menu", menu),
    command("hearth.toggle", toggle),
    command("hearth.pickModel", () => pickModel("model")),
    command("hearth.pickChatModel", () => pickModel("chatModel")),
    command("hearth.pullModel", () => pullModel()),
    command("hearth.restart", () => session.restart()),
    command("hearth.showLog", () => log.show()),
    command("hearth.inlineEdit", () => inlineEdit(session, proposals)),
  );
  session.start();
}

/** The editor waits for this a little: the server gets the time to end by itself. */
export async function deactivate(): Promise<void> {
  await client?.stop();
}

async function menu(): Promise<void> {
  const on = vscode.workspace.getConfiguration("hearth").get("enable", true);
  const items = [
    { label: `$(${on ? "circle-slash" : "check"}) Turn completion ${on ? "off" : "on"}`, command: "hearth.toggle" },
    { label: "$(comment-discussion) Chat", command: "hearth.chat.focus" },
    { label: "$(symbol-misc) Model for completion...", command: "hearth.pickModel" },
    { label: "$(symbol-misc) Model for chat and edits...", command: "hearth.pickChatModel" },
    { label: "$(cloud-download) Pull a model...", command: "hearth.pullModel" },
    { label: "$(debug-restart) Restart", command: "hearth.restart" },
    { label: "$(output) Show log", command: "hearth.showLog" },
  ];
  const chosen = await vscode.window.showQuickPick(items, { title: "Hearth" });
  if (chosen) await vscode.commands.executeCommand(chosen.command);
}

async function toggle(): Promise<void> {
  const configuration = vscode.workspace.getConfiguration("hearth");
  await configuration.update("enable", !configuration.get("enable", true), vscode.ConfigurationTarget.Global);
}

/** Models: listed, picked and pulled through the `hearth` program itself. */
import { execFile, spawn } from "child_process";
import * as os from "os";
import * as vscode from "vscode";
import { programEnvironment, programPath } from "./client";
import type { UserKey } from "./settings";
import { label, visible } from "./text";

interface Model {
  name: string;
  installed: boolean;
  default: boolean;
  title?: string;
  parameters?: string;
  quantization?: string;
  license?: string;
  bytes?: number;
  fim?: boolean;
  tags?: string[];
}

/** A name that cannot be taken for an option. */
const NAME = /^[A-Za-z0-9][\w.:/-]{0,199}$/;

/** What `hearth list --json` prints. Entries that are no models are left out. */
export function parseModels(json: string): Model[] {
  const models = (JSON.parse(json) as { models?: unknown[] }).models ?? [];
  return models.filter((one): one is Model => typeof (one as Model)?.name === "string" && NAME.test((one as Model).name));
}

/** How far a pull is, from a line of its standard error: percent, or nothing. */
export function pullPercent(line: string): number | undefined {
  const match = /\b(\d{1,3})%/.exec(line);
  return match && Number(match[1]) <= 100 ? Number(match[1]) : undefined;
}

function list(all: boolean): Promise<Model[]> {
  return new Promise((resolve, reject) => {
    const args = all ? ["list", "--all", "--json"] : ["list", "--json"];
    execFile(programPath(), args, { cwd: os.homedir(), env: programEnvironment(), timeout: 30_000 }, (error, stdout, stderr) => {
      if (error) {
        reject(new Error((error as NodeJS.ErrnoException).code === "ENOENT" ? "the program is not there" : stderr || error.message));
        return;
      }
      try {
        resolve(parseModels(stdout));
      } catch {
        reject(new Error("hearth list printed what is no JSON"));
      }
    });
  });
}

function itemOf(model: Model): vscode.QuickPickItem & { model: Model } {
  const size = model.bytes ? `${(model.bytes / 1e9).toFixed(1)} GB` : "";
  return {
    model,
    label: label(model.name),
    description: [model.parameters, model.quantization, size, model.license].filter(Boolean).map((text) => label(text!)).join(" · "),
    detail: label([model.title, model.fim ? "completes code" : "", model.installed ? "" : "not pulled yet"].filter(Boolean).join(" · ")),
  };
}

/** Lets the person choose an installed model, or pull one, and keeps the choice in the user's settings. */
export async function pickModel(key: Extract<UserKey, "model" | "chatModel">): Promise<void> {
  await reported(async () => {
    const installed = (await list(false)).filter((model) => model.installed);
    const fit = key === "model" ? installed.filter((model) => model.fim) : installed.filter((model) => model.tags?.includes("chat"));
    const more: vscode.QuickPickItem = { label: "$(cloud-download) Pull another model..." };
    const chosen = await vscode.window.showQuickPick([...(fit.length ? fit : installed).map(itemOf), more], {
      title: key === "model" ? "Hearth: the model that completes" : "Hearth: the model that answers and edits",
    });
    const model = chosen === more ? await pullModel() : (chosen as { model?: Model } | undefined)?.model?.name;
    if (model) await vscode.workspace.getConfiguration("hearth").update(key, model, vscode.ConfigurationTarget.Global);
  });
}

/** Lets the person choose a model of the catalogue and pulls it. Answers its name when it is there. */
export async function pullModel(): Promise<string | undefined> {
  return reported(async () => {
    const missing = (await list(true)).filter((model) => !model.installed);
    const chosen = await vscode.window.showQuickPick(missing.map(itemOf), { title: "Hearth: pull a model (this uses the network)" });
    if (!chosen) return undefined;
    await vscode.window.withProgress(
      { location: vscode.ProgressLocation.Notification, title: `Pulling ${chosen.label}`, cancellable: true },
      (progress, token) => pull(chosen.model.name, progress, token),
    );
    return chosen.model.name;
  });
}

function pull(name: string, progress: vscode.Progress<{ message?: string; increment?: number }>, token: vscode.CancellationToken): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(programPath(), ["pull", "--json", name], { cwd: os.homedir(), env: programEnvironment(), stdio: ["ignore", "ignore", "pipe"] });
    // An interrupted pull keeps what it has, and goes on from there when it is run again.
    token.onCancellationRequested(() => child.kill("SIGINT"));
    let percent = 0;
    let last = "";
    child.stderr.on("data", (chunk: Buffer) => {
      for (const line of chunk.toString("utf8").split(/[\r\n]+/).filter((text) => text.trim())) {
        last = line;
        const now = pullPercent(line);
        progress.report({ message: label(line, 120), increment: now === undefined ? undefined : Math.max(now - percent, 0) });
        percent = now ?? percent;
      }
    });
    child.once("error", reject);
    child.once("close", (code) => (code === 0 ? resolve() : reject(new Error(token.isCancellationRequested ? "the pull was interrupted" : last))));
  });
}

async function reported<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    void vscode.window.showErrorMessage(`Hearth: ${visible((error as Error).message).trim()}`);
    return undefined;
  }
}

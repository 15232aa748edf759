// VS Code in a browser: code-server with the extension installed, Chromium driven by puppeteer-core.
import { spawn, execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import puppeteer from "puppeteer-core";
import { PATIENCE_MS, program, ROOT, sleep, until } from "./kit.mjs";

export { program, ROOT, sleep, until };
const HERE = dirname(fileURLToPath(import.meta.url));

export function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** A program that stands for `program` and writes all messages to `log`, one JSON a line. */
export function tapped(folder, program, log) {
  const path = join(folder, "hearth");
  writeFileSync(path, `#!/bin/sh\nexec '${process.execPath}' '${join(HERE, "tap.mjs")}' '${log}' '${program}' "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

/** The messages of a log that `tapped` made. */
export function messages(log) {
  if (!existsSync(log)) return [];
  return readFileSync(log, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/**
 * Starts the editor: `files` (name → text) are the folder that is open, `settings(folder)` the person's settings of
 * this machine, `wrap` is put in front of the command (strace). Give the result to `stop`.
 */
export async function start({ files, settings, trust = false, wrap = [] }) {
  const folder = mkdtempSync(join(tmpdir(), "hearth-code-"));
  const workspace = join(folder, "workspace");
  for (const [name, text] of Object.entries({ ...files })) {
    mkdirSync(dirname(join(workspace, name)), { recursive: true });
    writeFileSync(join(workspace, name), text);
  }
  mkdirSync(join(folder, "data/User"), { recursive: true });
  writeFileSync(join(folder, "data/User/settings.json"), JSON.stringify({
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": false,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "chat.disableAIFeatures": true,
    "telemetry.telemetryLevel": "off",
    "update.mode": "none",
    "extensions.autoCheckUpdates": false,
    "extensions.autoUpdate": "off",
    "extensions.ignoreRecommendations": true,
    "editor.accessibilitySupport": "off",
    "editor.cursorBlinking": "solid",
    "editor.minimap.enabled": false,
    "editor.wordBasedSuggestions": "off",
    "files.autoSave": "off",
    "git.enabled": false,
    "npm.autoDetect": "off",
    "typescript.disableAutomaticTypeAcquisition": true,
    "security.workspace.trust.enabled": trust,
  }));
  // To a browser the server is a remote machine: what names programs and models there stands in that machine's settings.
  mkdirSync(join(folder, "data/Machine"), { recursive: true });
  writeFileSync(join(folder, "data/Machine/settings.json"), JSON.stringify(settings(folder)));
  const [command, ...first] = codeServer();
  const common = [...first, "--user-data-dir", join(folder, "data"), "--extensions-dir", join(folder, "extensions")];
  const clean = { ...process.env, HOME: folder, SHELL: "/bin/sh", EXTENSIONS_GALLERY: '{"serviceUrl":""}' };
  for (const name of Object.keys(clean)) if (/^(VSCODE_|HEARTH_|XDG_|PASSWORD)/.test(name)) delete clean[name];
  execFileSync(command, [...common, "--install-extension", vsix()], { env: clean, stdio: ["ignore", "ignore", "inherit"] });
  const port = await freePort();
  const args = [...common, "--auth", "none", "--bind-addr", `127.0.0.1:${port}`, "--disable-telemetry",
    "--disable-update-check", "--disable-file-downloads"];
  const whole = [...wrap, command, ...args];
  const server = spawn(whole[0], whole.slice(1), { env: clean, cwd: folder, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [server.stdout, server.stderr]) stream.on("data", (chunk) => (output += chunk));
  const editor = { folder, workspace, port, server, requests: [] };
  running.add(editor);
  try {
    await until(() => /HTTP server listening/.test(output) || server.exitCode !== null, () => output);
    editor.browser = await puppeteer.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb", "--disable-background-networking", "--disable-component-update", "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"],
      defaultViewport: { width: 960, height: 540 },
      userDataDir: join(folder, "chromium"),
      handleSIGINT: false,
      handleSIGTERM: false,
      handleSIGHUP: false,
    });
    editor.page = await editor.browser.newPage();
    await watchRequests(editor);
    await editor.page.goto(`http://127.0.0.1:${port}/?folder=${encodeURIComponent(workspace)}`, { waitUntil: "domcontentloaded", timeout: PATIENCE_MS });
    await editor.page.waitForSelector(".monaco-workbench .statusbar", { timeout: PATIENCE_MS });
  } catch (error) {
    await stop(editor);
    throw error;
  }
  return editor;
}

/** The command that starts code-server: CODE_SERVER is a program, or the entry.js of the npm package. */
function codeServer() {
  const given = process.env.CODE_SERVER ?? "code-server";
  return given.endsWith(".js") ? [process.execPath, given] : [given];
}

function vsix() {
  const { version } = JSON.parse(readFileSync(join(ROOT, "editors/vscode/package.json"), "utf8"));
  return join(ROOT, `editors/vscode/hearth-${version}.vsix`);
}

/** Every address that the browser asks for, of all its pages, frames and workers. */
async function watchRequests(editor) {
  const attach = (session) => {
    session.on("Network.requestWillBeSent", (event) => editor.requests.push(event.request.url));
    session.on("Network.webSocketCreated", (event) => editor.requests.push(event.url));
    session.send("Network.enable").catch(() => undefined);
  };
  const follow = async (session) => {
    attach(session);
    session.on("sessionattached", (child) => void follow(child));
    await session.send("Target.setAutoAttach", { autoAttach: true, waitForDebuggerOnStart: false, flatten: true }).catch(() => undefined);
  };
  await follow(await editor.page.createCDPSession());
}

export async function stop(editor) {
  running.delete(editor);
  await editor.browser?.close().catch(() => undefined);
  if (editor.server.exitCode === null && editor.server.signalCode === null) {
    const gone = new Promise((resolve) => editor.server.once("exit", resolve));
    process.kill(-editor.server.pid, "SIGTERM");
    const kill = setTimeout(() => process.kill(-editor.server.pid, "SIGKILL"), 5000);
    await gone;
    clearTimeout(kill);
  }
  killGroup(editor.server.pid);
  for (const stream of [editor.server.stdout, editor.server.stderr]) stream.destroy();
  rmSync(editor.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}

/** Stops whatever is still running. */
export async function stopAll() {
  for (const editor of [...running]) await stop(editor);
}

function killGroup(pid) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/** Editors that are to end with this process, however it ends. */
const running = new Set();
process.on("exit", () => {
  for (const editor of running) {
    killGroup(editor.server.pid);
    editor.browser?.process()?.kill("SIGKILL");
    rmSync(editor.folder, { recursive: true, force: true });
  }
});
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => process.exit(1));

// ---- what a person does

/** Presses keys that are held together: "Control+Shift+P". */
export async function press(page, keys) {
  const all = keys.split("+");
  for (const key of all.slice(0, -1)) await page.keyboard.down(key);
  await page.keyboard.press(all.at(-1));
  for (const key of all.slice(0, -1).reverse()) await page.keyboard.up(key);
}

const QUICK = ".quick-input-widget:not([style*='display: none'])";

/** Presses keys that open a box for input, and writes `text` there; `title` is on the box. */
export async function quickInput(page, keys, text, title = "") {
  await until(async () => !(await page.$(QUICK)), "another box for input stays open");
  await press(page, keys);
  await until(() => page.evaluate((box, wanted) => document.querySelector(box)?.textContent.includes(wanted), QUICK, title), `no box ${title}`);
  await page.waitForSelector(`${QUICK} input`);
  await page.keyboard.type(text);
}

/** Runs a command by its title. */
export async function command(page, title) {
  await quickInput(page, "F1", title);
  await until(() => page.evaluate((wanted) => {
    const row = document.querySelector(".quick-input-list .monaco-list-row.focused");
    return row?.getAttribute("aria-label")?.includes(wanted);
  }, title), `the command ${title} is not there`);
  await press(page, "Enter");
}

export async function openFile(page, name) {
  await quickInput(page, "Control+P", name);
  await until(() => page.evaluate((wanted) =>
    document.querySelector(".quick-input-list .monaco-list-row.focused")?.getAttribute("aria-label")?.includes(wanted), name), `no file ${name}`);
  await press(page, "Enter");
  await page.waitForSelector(`.tab.active[data-resource-name="${name}"]`);
  await page.waitForSelector(".editor-instance .monaco-editor .view-line");
  await until(() => page.evaluate(() => document.activeElement?.closest(".monaco-editor") !== null), "the editor has no focus");
}

/** Puts the cursor at a line and column, both from 1. */
export async function goTo(page, line, column) {
  await quickInput(page, "Control+G", `${line}:${column}`);
  await press(page, "Enter");
  await until(() => page.evaluate(() => document.activeElement?.closest(".monaco-editor") !== null), "the editor has no focus");
}

/** The ghost text on the screen, "" where there is none. */
export function ghost(page) {
  return page.evaluate(() => {
    const texts = (selector) => [...document.querySelectorAll(selector)].map((one) => one.textContent.replaceAll("\u00a0", " "));
    // What stands in the cursor's line, in as many pieces as it has colours, and the lines below it.
    return [texts(".ghost-text-decoration, .ghost-text-decoration-preview").join(""), ...texts(".suggest-preview-text .view-line")].join("\n");
  });
}

/** Saves the open file, and gives what is on the disk. */
export async function saved(editor, name) {
  await press(editor.page, "Control+S");
  await until(() => editor.page.evaluate(() => !document.querySelector(".tab.active.dirty")), "the file is not saved");
  return readFileSync(join(editor.workspace, name), "utf8");
}

export function statusBar(page) {
  return page.evaluate(() => {
    const item = [...document.querySelectorAll(".statusbar-item")].find((one) => one.id.includes("hearth.status"));
    return item ? { text: item.textContent, label: item.getAttribute("aria-label") ?? "", html: item.innerHTML } : null;
  });
}

/** Opens the chat view; gives its frame. */
export async function openChat(page) {
  const find = async () => {
    for (const frame of page.frames()) if (await frame.$("#turns").catch(() => null)) return frame;
    return undefined;
  };
  // A box for input that is slow to close swallows the first command on a busy machine.
  for (let tries = 3; ; tries--) {
    await command(page, "Hearth: Focus on Chat View");
    try {
      return await until(find, "the chat has no page", PATIENCE_MS / (tries > 1 ? 6 : 1));
    } catch (error) {
      if (tries === 1) throw error;
    }
  }
}

/** A small PNG of the window, with the pointer and passing hints out of the way. */
export async function screenshot(page, path) {
  await page.mouse.move(700, 420);
  await sleep(300);
  await page.screenshot({ path });
}

export async function killServer(editor) {
  const pid = execFileSync("pgrep", ["-f", `${join(editor.folder, "log")} ${program()} lsp`], { encoding: "utf8" }).trim();
  for (const one of pid.split("\n")) process.kill(Number(one), "SIGKILL");
}

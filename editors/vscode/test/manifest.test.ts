import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import "./vscode-mock";
import { FOLDER_KEYS, USER_KEYS } from "../src/settings";

const ROOT = path.join(__dirname, "../..");
const read = (name: string) => readFileSync(path.join(ROOT, name), "utf8");
const manifest = JSON.parse(read("package.json"));
const properties = manifest.contributes.configuration.properties;

test("what names a program, an endpoint or a model is the person's alone", () => {
  for (const key of USER_KEYS) {
    assert.ok(["machine", "application"].includes(properties[`hearth.${key}`].scope), key);
    assert.ok(manifest.capabilities.untrustedWorkspaces.restrictedConfigurations.includes(`hearth.${key}`), key);
  }
  assert.equal(manifest.capabilities.untrustedWorkspaces.supported, "limited");
});

test("every setting is of one kind", () => {
  const keys = [...USER_KEYS, ...FOLDER_KEYS].map((key) => `hearth.${key}`).sort();
  assert.deepEqual(keys, Object.keys(properties).sort());
});

test("no code reads a person's setting past the door", () => {
  for (const name of ["chat", "client", "edit", "extension", "inline", "models", "proposal", "status"]) {
    const code = read(`src/${name}.ts`);
    for (const key of USER_KEYS) assert.ok(!new RegExp(`\\.get(<[^>]*>)?\\(\\s*"(hearth\\.)?${key}"`).test(code), `${name}: ${key}`);
  }
});

test("no shell, no network, no markup from text", () => {
  for (const name of ["chat", "client", "edit", "extension", "inline", "models", "proposal", "status"]) {
    assert.doesNotMatch(read(`src/${name}.ts`), /shell: true|(?<!\.)\bexec\(|execSync|require\("https?"\)|from "(node:)?(https?|net)"|\bfetch\(/, name);
  }
  assert.doesNotMatch(read("media/chat.js"), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\.href|\.src\b|setAttribute/);
});

test("dependencies are pinned by hash, and the lock names no host", () => {
  assert.equal(manifest.dependencies, undefined);
  for (const version of Object.values<string>(manifest.devDependencies)) assert.match(version, /^\d+\.\d+\.\d+$/);
  const lock = JSON.parse(read("package-lock.json"));
  for (const [name, one] of Object.entries<any>(lock.packages)) {
    if (name) assert.match(one.integrity, /^sha512-/, name);
  }
  assert.doesNotMatch(read("package-lock.json"), /https?:/);
});

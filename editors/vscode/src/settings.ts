/**
 * Settings, in two kinds that never mix. What a person chose for this machine names programs, endpoints and models;
 * what a folder may choose only says how much is completed.
 */
import * as vscode from "vscode";

/** Keys that only the person may set: package.json gives them a scope that no workspace has. */
export const USER_KEYS = [
  "path", "home", "endpoint", "allowRemote", "model", "chatModel", "threads", "contextTokens", "ignored", "statistics",
] as const;

/** Keys that a folder may set too. */
export const FOLDER_KEYS = [
  "enable", "languages", "maxTokens", "maxLines", "deadlineMs", "automaticDeadlineMs", "context", "projectContext",
] as const;

export type UserKey = (typeof USER_KEYS)[number];

/**
 * The person's value. The editor already ignores a folder's value of these keys; this does not even look at it, so
 * that a mistake in package.json alone opens nothing.
 */
export function userSetting<T>(key: UserKey): T {
  const found = vscode.workspace.getConfiguration("hearth").inspect<T>(key);
  return (found?.globalValue ?? found?.defaultValue) as T;
}

/** What `initialize` says: the person's choices, without those that leave the server its own default. */
export function initializationOptions(): Record<string, unknown> {
  const options: Record<string, unknown> = {
    allowRemote: userSetting<boolean>("allowRemote"),
    ignored: userSetting<boolean>("ignored"),
    statistics: userSetting<boolean>("statistics"),
  };
  for (const key of ["endpoint", "model", "chatModel"] as const) {
    const value = userSetting<string>(key);
    if (value) options[key] = value;
  }
  for (const key of ["threads", "contextTokens"] as const) {
    const value = userSetting<number>(key);
    if (value > 0) options[key] = value;
  }
  return options;
}

/** What a folder may say, for the server's `workspace/configuration`. */
export function folderSettings(scope?: vscode.Uri): Record<string, unknown> {
  const configuration = vscode.workspace.getConfiguration("hearth", scope);
  return Object.fromEntries(FOLDER_KEYS.map((key) => [key, configuration.get(key)]));
}

/** Whether a change asks for a new server. */
export function needsRestart(event: vscode.ConfigurationChangeEvent): boolean {
  return USER_KEYS.some((key) => key !== "model" && key !== "chatModel" && event.affectsConfiguration(`hearth.${key}`));
}

/** Whether completion is on where `document` lies. */
export function completionEnabled(document: vscode.TextDocument): boolean {
  const configuration = vscode.workspace.getConfiguration("hearth", document.uri);
  const languages = configuration.get<Record<string, boolean>>("languages", {});
  return configuration.get("enable", true) && languages[document.languageId] !== false;
}

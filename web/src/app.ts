// What the parts of the page share: the daemon, its state, the key, the theme, and what is told.

import { effect, signal } from "@preact/signals";
import { ApiError, Daemon } from "./api";
import { Live } from "./live";

const KEY = "wharf.key";
const THEME = "wharf.theme";

/** Kept for as long as the tab is open, and in no other one. */
export const key = signal(sessionStorage.getItem(KEY) ?? "");
export const needsKey = signal(false);

export function setKey(text: string): void {
  key.value = text;
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
  needsKey.value = false;
  live.restart();
}

// The page lies at PREFIX/ui/, the paths of the daemon below PREFIX/.
const base = new URL("..", document.baseURI).href.replace(/[?#].*$/, "");

export const daemon = new Daemon(base, () => key.value, () => (needsKey.value = true));
export const live = new Live(daemon);

document.addEventListener("visibilitychange", () => {
  if (document.hidden) live.pause();
  else live.start();
});
window.addEventListener("online", () => live.retry());

export type Theme = "system" | "dark" | "light";

export const theme = signal<Theme>((localStorage.getItem(THEME) as Theme | null) ?? "system");
effect(() => {
  if (theme.value === "system") {
    delete document.documentElement.dataset["theme"];
    localStorage.removeItem(THEME);
  } else {
    document.documentElement.dataset["theme"] = theme.value;
    localStorage.setItem(THEME, theme.value);
  }
});

/** Ticks each second: times that pass are shown without asking anybody. */
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);

export interface Notice {
  id: number;
  text: string;
  bad: boolean;
}

export const notices = signal<Notice[]>([]);
let noticeId = 0;

export function tell(text: string, bad = false): void {
  const notice = { id: ++noticeId, text, bad };
  notices.value = [...notices.value.slice(-3), notice];
  if (!bad) setTimeout(() => dismiss(notice.id), 5000);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((n) => n.id !== id);
}

export function wordsOf(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  return error instanceof TypeError ? "the daemon does not answer" : String(error);
}

/** Does it and says how it ended. */
export async function attempt(what: string, action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action();
    await live.refresh().catch(() => {});
    return true;
  } catch (error) {
    tell(`${what}: ${wordsOf(error)}`, true);
    return false;
  }
}

/** The part that is shown, and what it is about: #/why/llama-8b */
export const route = signal<string[]>(readRoute());

function readRoute(): string[] {
  const words = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean);
  return words.length ? words.map(decodeURIComponent) : ["now"];
}

window.addEventListener("hashchange", () => (route.value = readRoute()));

export function href(...words: string[]): string {
  return "#/" + words.map(encodeURIComponent).join("/");
}

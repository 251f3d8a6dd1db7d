import { render, type ComponentType } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { dismiss, href, key, live, needsKey, notices, route, setKey, theme, type Theme } from "./app";
import { Button, Pick } from "./parts/basics";
import { Config } from "./views/config";
import { Logs } from "./views/logs";
import { Now } from "./views/now";
import { Plan } from "./views/plan";
import { Requests } from "./views/requests";
import { Timeline } from "./views/timeline";
import { TryIt } from "./views/tryit";
import { Why } from "./views/why";
import "./styles.css";

const VIEWS: Record<string, [name: string, view: ComponentType]> = {
  now: ["Now", Now],
  timeline: ["Timeline", Timeline],
  requests: ["Requests", Requests],
  why: ["Why", Why],
  logs: ["Logs", Logs],
  try: ["Try it", TryIt],
  plan: ["Plan", Plan],
  config: ["Config", Config],
};

const CONNECTIONS = {
  connecting: "connecting …",
  live: "live",
  lost: "connection lost, trying again",
  paused: "paused",
};

function KeyForm() {
  const dialog = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const open = needsKey.value;
  useEffect(() => {
    if (open && !dialog.current?.open) dialog.current?.showModal();
    if (!open) dialog.current?.close();
  }, [open]);
  return (
    <dialog ref={dialog} aria-labelledby="key-title" onClose={() => (needsKey.value = false)}>
      <form method="dialog" onSubmit={(e) => {
        e.preventDefault();
        setKey(input.current?.value.trim() ?? "");
      }}>
        <h2 id="key-title">wharf wants a key</h2>
        <p>{key.value ? "The key that was given is not known." : "One of those in its configuration."} It is
          kept in this tab until that is closed.</p>
        <label class="field"><span>Key</span>
          <input ref={input} type="password" autocomplete="off" required /></label>
        <div class="buttons"><button class="button main">Use it</button></div>
      </form>
    </dialog>
  );
}

function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map((n) => (
        <div key={n.id} class={`notice ${n.bad ? "bad" : ""}`}>
          <span>{n.text}</span>
          <Button label="Dismiss" onClick={() => dismiss(n.id)}>×</Button>
        </div>
      ))}
    </div>
  );
}

function Sidebar({ current }: { current: string }) {
  const state = live.connection.value;
  return (
    <header class="sidebar">
      <h1><a href={href("now")}>wharf</a></h1>
      <nav aria-label="Parts of the page">
        <ul>
          {Object.entries(VIEWS).map(([word, [name]]) => (
            <li key={word}><a href={href(word)} aria-current={word === current ? "page" : undefined}>{name}</a></li>
          ))}
        </ul>
      </nav>
      <div class="foot">
        <span class={`connection ${state}`} role="status"><i />{CONNECTIONS[state]}</span>
        <Pick label="Theme" value={theme.value} options={["system", "dark", "light"]}
          onPick={(value) => (theme.value = value as Theme)} />
        <span class="quiet version">{live.status.value ? `wharf ${live.status.value.version}` : ""}</span>
      </div>
    </header>
  );
}

function Page() {
  const current = VIEWS[route.value[0] ?? ""] ? (route.value[0] as string) : "now";
  const [name, View] = VIEWS[current] as [string, ComponentType];
  const lost = live.connection.value === "lost" && live.problem.value;
  useEffect(() => {
    document.title = `${name} · wharf`;
  }, [name]);
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => {
        e.preventDefault();
        document.getElementById("main")?.focus();
      }}>Skip to the content</a>
      <Sidebar current={current} />
      <main id="main" tabIndex={-1} aria-label={name}>
        {lost && <p class="card warn" role="alert">What is shown may be old: {live.problem.value}.{" "}
          <Button onClick={() => live.retry()}>Try now</Button></p>}
        <View />
      </main>
      <Notices />
      <KeyForm />
    </>
  );
}

render(<Page />, document.getElementById("app") as HTMLElement);
if (document.hidden) live.pause();
else live.start();

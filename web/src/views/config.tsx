import { useEffect, useState } from "preact/hooks";
import { daemon, live, wordsOf } from "../app";
import { count } from "../format";
import { Button, Empty, Scroll } from "../parts/basics";

interface Line {
  text: string;
  file: string | null;
  line: number | null;
}

interface Checked {
  ok: boolean;
  models: number;
  errors: number;
  warnings: number;
  messages: string[];
}

/** "text:3:7: error: …" → which line it is about. */
function lineOf(message: string): number {
  return Number(/^text:(\d+):/.exec(message)?.[1] ?? 0);
}

function Resolved({ lines }: { lines: readonly Line[] }) {
  const [all, setAll] = useState(false);
  const [filter, setFilter] = useState("");
  const words = filter.toLowerCase();
  const shown = lines.filter((l) => (all || l.file !== null) && (l.text + (l.file ?? "")).toLowerCase().includes(words));
  return (
    <>
      <div class="row">
        <label class="field grow"><span>Filter</span>
          <input type="search" value={filter} onInput={(e) => setFilter(e.currentTarget.value)} /></label>
        <label class="check"><input type="checkbox" checked={all} onChange={(e) => setAll(e.currentTarget.checked)} />
          also defaults, and what follows from other values</label>
      </div>
      <Scroll label="The configuration in force">
        <table class="code">
          <thead><tr><th scope="col">value</th><th scope="col">where it stands</th></tr></thead>
          <tbody>{shown.map((l, i) => (
            <tr key={i}><td><code>{l.text}</code></td>
              <td class="quiet nowrap">{l.file === null ? "" : `${l.file}:${l.line}`}</td></tr>))}
          </tbody>
        </table>
      </Scroll>
      {shown.length === 0 && <Empty>Nothing here is written so.</Empty>}
    </>
  );
}

function Check({ start }: { start: string }) {
  const [text, setText] = useState("");
  const [result, setResult] = useState<Checked | null>(null);
  const [problem, setProblem] = useState("");
  async function check() {
    try {
      setResult(await daemon.json<Checked>("wharf/config/check", { method: "POST", body: { text } }));
      setProblem("");
    } catch (error) {
      setResult(null);
      setProblem(wordsOf(error));
    }
  }
  function show(message: string) {
    const area = document.getElementById("edited") as HTMLTextAreaElement | null;
    const line = lineOf(message);
    if (!area || !line) return;
    const from = text.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    area.focus();
    area.setSelectionRange(from, from + (text.split("\n")[line - 1]?.length ?? 0));
  }
  return (
    <div class="stack">
      <label class="field"><span>A configuration, as YAML. It is checked and not applied; of environment variables it
        sees only numbers.</span>
        <textarea id="edited" rows={14} spellcheck={false} value={text} onInput={(e) => setText(e.currentTarget.value)} /></label>
      <div class="buttons">
        <Button kind="main" disabled={!text.trim()} onClick={check}>Check</Button>
        <Button onClick={() => setText(start)}>Start from what is in force</Button>
      </div>
      {problem && <p class="bad" role="alert">{problem}</p>}
      <div aria-live="polite">
        {result && (
          <div class="card stack" data-ok={String(result.ok)}>
            <p><b>{result.ok ? `It is right: ${count(result.models, "model")}.` : "The daemon would not take it."}</b>{" "}
              {count(result.errors, "error")}, {count(result.warnings, "warning")}.</p>
            <ul class="bullets">{result.messages.map((m) => (
              <li key={m}>{lineOf(m) > 0 && <Button label={`Show line ${lineOf(m)}`} onClick={() => show(m)}>line {lineOf(m)}</Button>}{" "}
                <span class={m.includes(" error: ") ? "bad" : ""}>{m.replace(/^text:\d+:\d+: /, "")}</span></li>))}
            </ul>
          </div>)}
      </div>
    </div>
  );
}

export function Config() {
  const [lines, setLines] = useState<Line[] | null>(null);
  const [problem, setProblem] = useState("");
  const mode = live.mode.value;
  // The mode is asked for anew whenever the configuration is another one.
  useEffect(() => {
    daemon.json<{ lines: Line[] }>("wharf/config").then((answer) => {
      setLines(answer.lines);
      setProblem("");
    }, (error: unknown) => setProblem(wordsOf(error)));
  }, [mode]);
  return (
    <>
      <section>
        <h2>The configuration in force</h2>
        {problem && <p class="bad" role="alert">{problem}</p>}
        {lines && <Resolved lines={lines} />}
      </section>
      <section>
        <h2>Check a text</h2>
        <Check start={lines?.map((l) => l.text).join("\n") ?? ""} />
      </section>
    </>
  );
}

import { useEffect, useRef, useState } from "preact/hooks";
import { runsOf, type Run } from "../ansi";
import { pieces } from "../api";
import { daemon, href, live, route, wordsOf } from "../app";
import { Button, Pick } from "../parts/basics";

const LINES_MAX = 4000;
const SHOW_MS = 100;
const RETRY_MS = 2000;

function pathOf(source: string): string {
  if (source === "wharf") return "logs/stream/proxy";
  if (source === "all models") return "logs/stream/upstream";
  return `logs/stream/${source.split("/").map(encodeURIComponent).join("/")}`;
}

interface Line {
  id: number;
  text: string;
  runs: Run[];
}

/** Lines of a log as they come; shown a few times a second, however many there are. */
class Tail {
  lines: Line[] = [];
  private rest = "";
  private look = "";
  private next = 0;

  add(piece: string) {
    const all = (this.rest + piece).split("\n");
    this.rest = all.pop() ?? "";
    for (const text of all) {
      const { runs, look } = runsOf(text, this.look);
      this.look = look;
      this.lines.push({ id: this.next++, text: runs.map((r) => r.text).join(""), runs });
    }
    if (this.lines.length > LINES_MAX) this.lines = this.lines.slice(-LINES_MAX);
  }
}

function useLog(source: string): { lines: Line[]; problem: string } {
  const [, setTurn] = useState(0);
  const [problem, setProblem] = useState("");
  const tail = useRef(new Tail());
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let retry: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        setTurn((n) => n + 1);
      }, SHOW_MS);
    };
    const follow = async () => {
      tail.current = new Tail();
      show();
      try {
        const answer = await daemon.ask(pathOf(source), { signal: abort.signal, headers: { Accept: "text/plain" } });
        setProblem("");
        for await (const piece of pieces(answer)) {
          tail.current.add(piece);
          show();
        }
      } catch (error) {
        if (abort.signal.aborted) return;
        setProblem(wordsOf(error));
      }
      if (!abort.signal.aborted) retry = setTimeout(() => void follow(), RETRY_MS);
    };
    void follow();
    return () => {
      abort.abort();
      clearTimeout(timer);
      clearTimeout(retry);
    };
  }, [source]);
  return { lines: tail.current.lines, problem };
}

export function Logs() {
  const source = route.value[1] ?? "wharf";
  const { lines, problem } = useLog(source);
  const [filter, setFilter] = useState("");
  const [following, setFollowing] = useState(true);
  const [wrap, setWrap] = useState(true);
  const box = useRef<HTMLPreElement>(null);
  const words = filter.toLowerCase();
  const shown = words ? lines.filter((l) => l.text.toLowerCase().includes(words)) : lines;
  useEffect(() => {
    if (following && box.current) box.current.scrollTop = box.current.scrollHeight;
  });
  const onScroll = () => {
    const b = box.current;
    if (b) setFollowing(b.scrollHeight - b.scrollTop - b.clientHeight < 30);
  };
  return (
    <section>
      <h2>Logs</h2>
      <div class="row">
        <Pick label="Log of" value={source} onPick={(name) => (location.hash = href("logs", name))}
          options={["wharf", "all models", ...(live.status.value?.model_list ?? []).map((m) => m.id)]} />
        <label class="field grow"><span>Filter</span>
          <input type="search" value={filter} onInput={(e) => setFilter(e.currentTarget.value)} /></label>
        <label class="check"><input type="checkbox" checked={wrap} onChange={(e) => setWrap(e.currentTarget.checked)} /> wrap lines</label>
        <Button pressed={following} onClick={() => setFollowing(!following)}>Follow</Button>
      </div>
      {problem && <p class="bad" role="alert">{problem}</p>}
      <pre ref={box} class={`log card ${wrap ? "wraps" : ""}`} tabIndex={0} role="log" aria-label={`Log of ${source}`}
        aria-live="off" onScroll={onScroll}>
        {shown.map((l) => (
          <div key={l.id}>{l.runs.map((r, i) => r.look ? <span key={i} class={r.look}>{r.text}</span> : r.text)}{"\n"}</div>))}
      </pre>
      <p class="quiet">{words ? `${shown.length} of ${lines.length} lines` : `${lines.length} lines`}</p>
    </section>
  );
}

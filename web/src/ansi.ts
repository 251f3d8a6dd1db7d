// The colours of logs: SGR sequences (ECMA-48, section 8.3.117) of the 16 colours, bold and faint.
// Other escape sequences are left out.

export interface Run {
  text: string;
  look: string;
}

const SEQUENCE = /\x1b\[([0-9;]*)m|\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]/g;

function colourOf(code: number): string | null {
  if (code >= 30 && code <= 37) return `ansi-${code - 30}`;
  if (code >= 90 && code <= 97) return `ansi-${code - 90}`;
  return null;
}

/** Turns one line into runs; `look` is how the line before it ended. */
export function runsOf(line: string, look: string): { runs: Run[]; look: string } {
  const runs: Run[] = [];
  let at = 0;
  const push = (end: number) => {
    if (end > at) runs.push({ text: line.slice(at, end), look });
  };
  for (const found of line.matchAll(SEQUENCE)) {
    push(found.index);
    at = found.index + found[0].length;
    if (found[1] === undefined) continue;
    const set = new Set(look.split(" ").filter(Boolean));
    for (const code of found[1].split(";").map(Number)) {
      const colour = colourOf(code);
      if (code === 0) set.clear();
      if (code === 1) set.add("ansi-bold");
      if (code === 2) set.add("ansi-faint");
      if (code === 22) ["ansi-bold", "ansi-faint"].forEach((name) => set.delete(name));
      if (code === 39 || colour) [...set].filter((name) => /\d$/.test(name)).forEach((name) => set.delete(name));
      if (colour) set.add(colour);
    }
    look = [...set].join(" ");
  }
  push(line.length);
  return { runs, look };
}

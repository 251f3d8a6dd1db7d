import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";

export function Badge({ kind, children }: { kind: string; children: ComponentChildren }) {
  return <span class={`badge badge-${kind}`}>{children}</span>;
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

interface ButtonProps {
  onClick: () => unknown;
  children: ComponentChildren;
  label?: string;
  kind?: "plain" | "main" | "danger";
  disabled?: boolean;
  pressed?: boolean;
}

/** Busy for as long as what it does takes. label: what a screen reader says, where the text alone is too short. */
export function Button({ onClick, children, label, kind = "plain", disabled, pressed }: ButtonProps) {
  const [busy, setBusy] = useState(false);
  async function click() {
    setBusy(true);
    try {
      await onClick();
    } finally {
      setBusy(false);
    }
  }
  return (
    <button type="button" class={`button ${kind}`} aria-label={label} aria-pressed={pressed}
      aria-busy={busy} disabled={disabled || busy} onClick={() => void click()}>
      {children}
    </button>
  );
}

export function Field({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <label class="field">
      <span>{label}</span>
      {children}
    </label>
  );
}

interface PickProps {
  label: string;
  value: string;
  options: readonly (string | readonly [value: string, text: string])[];
  onPick: (value: string) => void;
}

/* The label stands beside the list: around it, what can be chosen would be part of its name. */
export function Pick({ label, value, options, onPick }: PickProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(e) => onPick(e.currentTarget.value)}>
        {options.map((option) => {
          const [word, text] = typeof option === "string" ? [option, option] : option;
          return <option key={word} value={word}>{text}</option>;
        })}
      </select>
    </div>
  );
}

/** What is wider than the page scrolls in itself, also by keys. */
export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  return <div class="scroll" role="region" aria-label={label} tabIndex={0}>{children}</div>;
}

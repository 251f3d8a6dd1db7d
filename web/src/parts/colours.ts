import { live } from "../app";

const COLOURS = 8;

/** A model has the same colour everywhere: that of its place in the list. */
export function colourOf(model: string | null): string {
  const at = live.status.value?.model_list.findIndex((m) => m.id === model) ?? -1;
  return at < 0 ? "none" : String(at % COLOURS);
}

// SPDX-License-Identifier: Apache-2.0
// Texts of a scene in the reader's language: as a string, or as nodes in which every node, packet
// and address can be selected. hoplab/web/texts.py has the shapes.
import { h } from "./dom.js";

const BRACE = /\{\{|\}\}|\{([^{}]+)\}/g;

// The pieces of a template in order: strings, and [name] where a value goes.
function cut(template) {
  const pieces = [];
  let at = 0;
  for (const match of template.matchAll(BRACE)) {
    pieces.push(template.slice(at, match.index));
    pieces.push(match[1] === undefined ? match[0][0] : [match[1]]);
    at = match.index + match[0].length;
  }
  pieces.push(template.slice(at));
  return pieces.filter((piece) => piece !== "");
}

export class Speaker {
  // language: its place in scene.languages.
  constructor(scene, language) {
    Object.assign(this, { scene, language });
    this.cuts = new Map();
  }

  pieces(template) {
    let known = this.cuts.get(template);
    if (!known) this.cuts.set(template, (known = cut(template)));
    return known;
  }

  // A word or sentence of the page itself, filled in with strings.
  word(key, values = {}) {
    const template = this.scene.words[key][this.language];
    return this.pieces(template)
      .map((piece) => (typeof piece === "string" ? piece : String(values[piece[0]] ?? "")))
      .join("");
  }

  // The same with nodes as values.
  wordNodes(key, values = {}) {
    const template = this.scene.words[key][this.language];
    return this.pieces(template).map((piece) =>
      typeof piece === "string" ? piece : (values[piece[0]] ?? ""),
    );
  }

  comma() {
    return this.scene.commas[this.language];
  }

  text(value, templates = this.scene.templates) {
    return this.walk(value, templates, (kind, text) =>
      kind === "packet" ? String(text) : text,
    ).join("");
  }

  // select(kind, value) is called when a reader picks a node, packet, ip or mac.
  nodes(value, select, templates = this.scene.templates) {
    const pieces = this.walk(value, templates, (kind, text) =>
      h(
        "button",
        {
          type: "button",
          class: `pick pick-${kind}`,
          onclick: (event) => {
            event.preventDefault();
            select(kind, text);
          },
        },
        String(text),
      ),
    );
    // "#" and the number behind it stay together where a line breaks.
    return pieces.map((piece, at) => {
      const next = pieces[at + 1];
      if (typeof piece !== "string" || !piece.endsWith("#") || !next?.prepend) return piece;
      next.prepend("#");
      return piece.slice(0, -1);
    });
  }

  walk(value, templates, pick) {
    if (typeof value === "string") return [value];
    if (typeof value === "number") return [String(value)];
    if (Array.isArray(value)) {
      const [place, values] = value;
      return this.pieces(templates[place][this.language]).flatMap((piece) =>
        typeof piece === "string" ? [piece] : this.walk(values[piece[0]] ?? "", templates, pick),
      );
    }
    if (value === null || value === undefined) return [];
    if (value.list)
      return value.list.flatMap((item, at) => [
        ...(at ? [this.comma()] : []),
        ...this.walk(item, templates, pick),
      ]);
    if (value.row) {
      const joint = this.scene.joints[this.language];
      return value.row.flatMap((item, at) => [
        ...(at && joint ? [joint] : []),
        ...this.walk(item, templates, pick),
      ]);
    }
    const [kind, data] = Object.entries(value)[0];
    return [pick(kind, data)];
  }
}

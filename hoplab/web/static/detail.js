// SPDX-License-Identifier: Apache-2.0
// A frame in full: what each layer of it was when it came into a node, and when it went out.
import { h, put } from "./dom.js";
import { displayFilter, numbersOf } from "./scene.js";

const ROW = 16;

export class Detail {
  // inside: fields and bytes by frame number, once they are unpacked; null before.
  constructor(scene, speaker, { select, copy, download, captureName }) {
    Object.assign(this, { scene, speaker, select, copy, download, captureName });
    this.inside = null;
    this.element = h("section", { class: "detail", "aria-label": speaker.word("frame"), tabindex: "0" });
  }

  node(place) {
    const { scene, speaker } = this, node = scene.nodes[place];
    const rows = scene.ports.filter((port) => port.node === place).map((port) =>
      h("tr", {}, h("th", { scope: "row" }, port.name), h("td", {}, port.port === null ? "" : speaker.word("port", { n: port.port })),
        h("td", { class: "mono" }, port.addresses.join(" ")), h("td", { class: "mono" }, port.mac)));
    put(this.element,
      h("h2", {}, node.name, " ", h("small", {}, speaker.word(`node_kind_${node.kind}`))),
      h("table", { class: "plain" }, h("tbody", {}, rows)));
  }

  show(leg) {
    const { scene, speaker } = this, { legs, trips } = scene;
    if (leg < 0) return put(this.element);
    const packet = legs.trip[leg], parent = scene.parentOf(leg);
    const pick = (value) => speaker.nodes(value, this.select);
    const where = `${scene.ports[legs.tail[leg]]?.name ?? "?"} → ${scene.ports[legs.head[leg]]?.name ?? "?"}`;
    const why = trips.cause[packet] ? h("p", { class: "why" }, speaker.wordNodes("why", { cause: h("span", {}, pick(trips.cause[packet])) })) : null;
    const decisions = trips.decisions[packet]
      .filter(([at]) => trips.first[packet] + at === (parent < 0 ? leg : parent))
      .map(([, sentence]) => h("p", { class: "why" }, pick(sentence)));
    const notes = trips.notes[packet].map((note) => h("p", { class: "note" }, pick(note)));
    const ended = trips.ended[packet] ? h("p", { class: "bad" }, "✗ ", pick(trips.ended[packet])) : null;
    const more = trips.more[packet] ? h("p", { class: "note" }, speaker.word("more", { n: trips.more[packet] })) : null;
    return put(this.element,
      h("h2", {}, `#${trips.number[packet]} `, h("small", { class: "mono" }, where)),
      h("p", { class: "title" }, pick(trips.title[packet])), why, decisions, notes, ended, more,
      this.wireshark(leg, packet), this.layers(leg, parent));
  }

  wireshark(leg, packet) {
    const { scene, speaker } = this;
    const here = displayFilter(numbersOf(scene, leg, leg)), whole = displayFilter(numbersOf(scene, scene.trips.first[packet], scene.lastLeg[packet]));
    const line = (text) => h("div", { class: "line" }, h("code", {}, text), h("button", { type: "button", onclick: (event) => this.copy(text, event.currentTarget) }, speaker.word("copy")));
    const file = this.download
      ? h("button", { type: "button", class: "save", onclick: this.download }, speaker.word("capture"))
      : h("p", { class: "note" }, speaker.word("capture_beside", { file: this.captureName }));
    return h("details", { class: "wireshark" }, h("summary", {}, speaker.word("in_wireshark")), here ? line(here) : null,
      whole && whole !== here ? line(whole) : null, file);
  }

  fieldsOf(leg) {
    const { legs } = this.scene;
    let found = this.inside.frames[legs.sent[leg] || legs.received[leg]];
    if (typeof found === "number") found = this.inside.frames[found];
    return found;
  }

  layers(leg, parent) {
    if (!this.inside) return null;
    const { speaker } = this, out = this.fieldsOf(leg), into = parent < 0 ? null : this.fieldsOf(parent);
    if (!out) return h("p", { class: "note" }, speaker.word("no_fields", { n: 400 }));
    const say = (value) => speaker.text(value, this.inside.templates);
    const key = ([layer, name]) => `${say(layer)} ${say(name)}`;
    const before = new Map((into?.[1] ?? []).map((field) => [key(field), field]));
    const after = new Set(out[1].map(key));
    const rows = [];
    let layer = null;
    const heading = (field) => {
      if (say(field[0]) === layer) return;
      layer = say(field[0]);
      rows.push(h("tr", { class: "layer" }, h("th", { colspan: into ? 4 : 2, scope: "colgroup" }, layer)));
    };
    out[1].forEach((field, place) => {
      heading(field);
      const old = before.get(key(field)), text = say(field[4]), was = old ? say(old[4]) : "";
      const changed = into && was !== text;
      rows.push(h("tr", { class: changed ? "changed" : "", "data-field": place, tabindex: "0",
        onfocus: () => this.light(place), onmouseenter: () => this.light(place) },
        h("th", { scope: "row" }, say(field[1])), into ? h("td", { class: "mono" }, was) : null, h("td", { class: "mono" }, text),
        into ? h("td", { class: "sign" }, changed ? "▲" : "") : null));
    });
    for (const [name, field] of before) {
      if (!after.has(name)) rows.push(h("tr", { class: "changed" }, h("th", { scope: "row" }, `${say(field[0])} ${say(field[1])}`), h("td", { class: "mono" }, say(field[4])), h("td", {}), h("td", { class: "sign" }, "▲")));
    }
    const head = h("tr", {}, h("th", { scope: "col" }, speaker.word("field")), into ? h("th", { scope: "col" }, speaker.word("came_in")) : null,
      h("th", { scope: "col" }, into ? speaker.word("went_out") : speaker.word("made_here")), into ? h("th", { scope: "col" }, h("span", { class: "hidden" }, speaker.word("changed"))) : null);
    return [h("table", { class: "layers" }, h("thead", {}, head), h("tbody", {}, rows)), this.hex(out)];
  }

  hex([text, fields]) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const owner = new Int32Array(bytes.length).fill(-1);
    fields.forEach(([, , start, end], place) => owner.fill(place, start, end));
    const lines = [];
    for (let at = 0; at < bytes.length && at < 512; at += ROW) {
      const cells = [];
      for (let place = at; place < Math.min(at + ROW, bytes.length); place++) {
        cells.push(h("span", { "data-byte": owner[place] }, bytes[place].toString(16).padStart(2, "0")), " ");
      }
      const letters = Array.from(bytes.subarray(at, at + ROW), (value) => (value > 31 && value < 127 ? String.fromCharCode(value) : "·")).join("");
      lines.push(h("div", {}, h("i", {}, at.toString(16).padStart(4, "0")), " ", cells, h("b", {}, letters)));
    }
    this.bytes = h("div", { class: "hex mono", "aria-hidden": "true" }, lines);
    return h("details", { class: "bytes" }, h("summary", {}, `${this.speaker.word("bytes")} · ${bytes.length}`), this.bytes);
  }

  light(place) {
    for (const cell of this.bytes?.querySelectorAll("[data-byte]") ?? []) cell.classList.toggle("on", +cell.dataset.byte === place);
  }
}

// SPDX-License-Identifier: Apache-2.0
// Packets in rows, of which only those in sight are elements: fifty thousand are no more than ten.
import { h } from "./dom.js";

const ROW = 30;

export class PacketList {
  constructor(count, row, choose, label, tip) {
    Object.assign(this, { row, choose, tip });
    this.shown = Array.from({ length: count }, (_, at) => at);
    this.chosen = -1;
    this.ground = h("div", { class: "ground" });
    this.element = h(
      "div",
      {
        class: "list",
        role: "listbox",
        tabindex: "0",
        "aria-label": label,
        onscroll: () => this.paint(),
        onkeydown: (event) => this.key(event),
      },
      this.ground,
    );
    new ResizeObserver(() => this.paint()).observe(this.element);
  }

  show(packets) {
    this.shown = packets;
    this.element.scrollTop = 0;
    this.paint();
  }

  // The same list with more at its end; a reader who stands there sees it.
  grow(packets) {
    const { scrollTop, clientHeight, scrollHeight } = this.element;
    const atEnd = scrollTop + clientHeight >= scrollHeight - ROW;
    this.shown = packets;
    this.paint();
    if (!atEnd || !clientHeight) return;
    this.element.scrollTop = this.element.scrollHeight;
    this.paint();
  }

  select(packet) {
    if (this.chosen === packet) return;
    this.chosen = packet;
    const height = this.element.clientHeight;
    if (!height) return; // nobody sees it; it is painted when it is shown
    const at = this.shown.indexOf(packet);
    if (at >= 0) {
      const top = at * ROW;
      if (top < this.element.scrollTop || top + ROW > this.element.scrollTop + height)
        this.element.scrollTop = Math.max(0, top - height / 2);
    }
    this.paint();
  }

  key(event) {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const at = Math.max(0, Math.min(this.shown.length - 1, this.shown.indexOf(this.chosen) + by));
    if (this.shown.length) this.choose(this.shown[at]);
  }

  paint() {
    this.ground.style.height = `${this.shown.length * ROW}px`;
    const from = Math.max(0, Math.floor(this.element.scrollTop / ROW) - 2);
    const to = Math.min(
      this.shown.length,
      from + Math.ceil((this.element.clientHeight || 300) / ROW) + 4,
    );
    const rows = [];
    for (let at = from; at < to; at++) {
      const packet = this.shown[at];
      const element = h(
        "div",
        {
          class: "row",
          role: "option",
          id: `row-${packet}`,
          "aria-selected": String(packet === this.chosen),
          title: this.tip(packet),
          "aria-posinset": at + 1,
          "aria-setsize": this.shown.length,
          onclick: () => this.choose(packet),
        },
        this.row(packet),
      );
      element.style.top = `${at * ROW}px`;
      rows.push(element);
    }
    this.ground.replaceChildren(...rows);
    const active = rows.find((each) => each.id === `row-${this.chosen}`);
    if (active) this.element.setAttribute("aria-activedescendant", active.id);
    else this.element.removeAttribute("aria-activedescendant");
  }
}

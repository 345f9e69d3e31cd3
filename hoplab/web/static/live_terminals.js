// SPDX-License-Identifier: Apache-2.0
// Terminals on hosts: shells of the lab, drawn by xterm.js, which is loaded when the first is
// opened.
import { h, put } from "./dom.js";
import { inLanguage } from "./live_acts.js";

const PAID = 1 << 14; // bytes after which the server is told that they are drawn
const LINES = 5000; // that can be scrolled back to: what is older is gone
const ROWS = 14;
const THEMES = {
  light: { background: "#ffffff", foreground: "#1b2333", cursor: "#1b2333",
    selectionBackground: "#b9d0f5" },
  dark: { background: "#10151f", foreground: "#e7ebf3", cursor: "#e7ebf3",
    selectionBackground: "#3a5584" },
};

// xterm.js makes <style> elements; the page's policy wants its nonce at each.
function withNonce(act) {
  const nonce = document.querySelector("meta[name=nonce]")?.content ?? "",
    { createElement } = document;
  document.createElement = (...args) => {
    const made = createElement.apply(document, args);
    if (args[0] === "style") made.nonce = nonce;
    return made;
  };
  try {
    return act();
  } finally {
    delete document.createElement;
  }
}

class Terminal {
  // wire: the connection; lab and host: where; changed(): its head is to be made anew.
  constructor(wire, lab, host, dark, changed) {
    Object.assign(this, { wire, host, changed });
    this.line = "";
    this.over = null; // why it can take no more keys
    this.drawn = 0;
    this.place = h("div", { class: "screen" });
    this.open(lab, dark);
  }

  async open(lab, dark) {
    const [{ Terminal: Screen }, { FitAddon }] = await Promise.all([
      import("./vendor/xterm.mjs"),
      import("./vendor/addon-fit.mjs"),
    ]);
    const screen = (this.screen = new Screen({
      rows: ROWS,
      cols: 80,
      scrollback: LINES,
      fontFamily: 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace',
      fontSize: 13,
      theme: THEMES[dark ? "dark" : "light"],
    }));
    this.fit = new FitAddon();
    screen.loadAddon(this.fit);
    withNonce(() => screen.open(this.place));
    screen.onData((text) => this.type(new TextEncoder().encode(text)));
    screen.onBinary((text) => this.type(Uint8Array.from(text, (each) => each.charCodeAt(0))));
    screen.onResize(({ rows, cols }) => {
      if (this.id && !this.over)
        this.wire.send({ type: "terminal.resize", id: this.id, rows, cols });
    });
    screen.attachCustomKeyEventHandler((event) => this.key(event));
    new ResizeObserver(() => this.resize()).observe(this.place);
    this.resize();
    this.id = this.wire.ask(
      { type: "terminal.open", lab, host: this.host, rows: screen.rows, cols: screen.cols },
      (answer) => this.take(answer),
    );
    screen.focus();
  }

  take(answer) {
    if (answer.type === "terminal.opened") this.line = answer.line;
    else {
      this.over = answer;
      this.wire.forget(this.id);
      if (this.screen) this.screen.options.disableStdin = true;
    }
    this.changed();
  }

  resize() {
    if (this.place.clientWidth && this.place.clientHeight) withNonce(() => this.fit.fit());
  }

  type(bytes) {
    if (!this.over) this.wire.sendBytes(this.id, bytes);
  }

  // What is drawn is paid for: the server sends no more than it was paid.
  show(bytes) {
    this.screen.write(bytes, () => {
      this.drawn += bytes.length;
      if (this.drawn < PAID || this.over) return;
      this.wire.send({ type: "terminal.credit", id: this.id, bytes: this.drawn });
      this.drawn = 0;
    });
  }

  // Tab belongs to the shell, so another key leads out; Ctrl+C does, too.
  key(event) {
    if (!event.ctrlKey || !event.shiftKey) return true;
    if (event.code === "Escape") {
      if (event.type === "keydown") this.leave?.();
      return false;
    }
    if (event.code !== "KeyC") return true;
    if (event.type === "keydown") {
      event.preventDefault();
      navigator.clipboard?.writeText(this.screen.getSelection());
    }
    return false;
  }

  close() {
    if (!this.over && this.id) this.wire.send({ type: "terminal.close", id: this.id });
    this.wire.forget(this.id);
    this.screen?.dispose();
  }
}

export class Terminals {
  constructor(wire, lab, dark) {
    Object.assign(this, { wire, lab, dark });
    this.all = [];
  }

  bytes(id, data) {
    this.all.find((each) => each.id === id)?.show(data);
  }

  open(host) {
    const made = new Terminal(this.wire, this.lab, host, this.dark(), () => this.head(made));
    this.all.push(made);
    this.list?.append(this.item(made));
  }

  close(terminal) {
    terminal.close();
    terminal.item.remove();
    this.all = this.all.filter((each) => each !== terminal);
    this.opener?.focus();
  }

  closeAll() {
    for (const terminal of this.all) terminal.close();
    this.all = [];
  }

  paint() {
    for (const { screen } of this.all)
      if (screen) withNonce(() => (screen.options.theme = THEMES[this.dark() ? "dark" : "light"]));
  }

  // The panel in one language; terminals that are open stay so.
  panel(speaker, hosts) {
    this.speaker = speaker;
    const host = h(
      "select",
      { "aria-label": speaker.word("on_host") },
      hosts.map((name) => h("option", { value: name }, name)),
    );
    this.opener = h(
      "button",
      { type: "button", class: "run", onclick: () => this.open(host.value) },
      speaker.word("open_terminal"),
    );
    this.list = h("div", { class: "terminals" }, this.all.map((each) => this.item(each)));
    return [
      h("div", { class: "row-of-buttons" }, host, this.opener),
      h("p", { class: "note" }, speaker.word("terminal_keys")),
      this.list,
    ];
  }

  item(terminal) {
    terminal.heading = h("div", { class: "row-of-buttons" });
    terminal.item = h(
      "section",
      { "aria-label": this.speaker.word("terminal_of", { host: terminal.host }) },
      terminal.heading,
      terminal.place,
    );
    this.head(terminal);
    return terminal.item;
  }

  head(terminal) {
    const word = (key, values) => this.speaker.word(key, values);
    const close = h(
      "button",
      { type: "button", class: "small", onclick: () => this.close(terminal) },
      word("close_terminal"),
    );
    terminal.leave = () => close.focus();
    put(
      terminal.heading,
      h("b", {}, terminal.host),
      terminal.line ? h("code", {}, terminal.line) : null,
      terminal.over
        ? h("span", { class: "bad", role: "status" },
            inLanguage(terminal.over.error, this.speaker) || word("terminal_over"))
        : null,
      h(
        "button",
        {
          type: "button",
          class: "small",
          onclick: () => terminal.item.requestFullscreen?.(),
        },
        word("whole_screen"),
      ),
      close,
    );
  }
}

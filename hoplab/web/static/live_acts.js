// SPDX-License-Identifier: Apache-2.0
// What the page does to a lab: verbs of the command line, each with the line that does the same in
// a terminal, and what came of those that were begun.
import { h, put } from "./dom.js";

const MOST_LETTERS = 20_000; // of a command's output that are shown
const MOST_RESULTS = 20;

const PLAIN = /^[\w@%+=:,./-]+$/;
export const quoted = (word) => (PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

// A line in words, as a shell does it with quotes.
export function words(line) {
  return Array.from(line.matchAll(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g), ([word]) =>
    word.replace(/'([^']*)'|"([^"]*)"/g, (_, one, two) => one ?? two),
  );
}

// The command line of an act; "" while something is missing that it needs.
export function lineOf(lab, act, args) {
  if (!args) return "";
  if (act === "ping")
    return lineOf(lab, "trace", [args[0], "--", "ping", "-c", "3", args[1]]);
  if (act === "wireshark") return ["hoplab", act, lab].map(quoted).join(" ");
  return ["hoplab", act, "--name", lab, ...args].map(quoted).join(" ");
}

// What every act needs: its fields, and its arguments from their values. `null`: not yet.
// A field: [name, word, choices or null, optional].
export const FORMS = {
  visit: {
    title: "visit_act",
    fields: (lab) => [
      ["url", "url", null],
      ["from", "from_host", lab.hosts, "client"],
    ],
    args: ({ url, from }) => [...(url ? [url] : []), ...(from ? ["--from", from] : [])],
  },
  ping: {
    title: "ping_act",
    fields: (lab) => [
      ["from", "from_host", lab.hosts],
      ["to", "to_host", lab.hosts, lab.hosts[1]],
    ],
    args: ({ from, to }) => (from && to ? [from, to] : null),
  },
  trace: {
    title: "trace_act",
    fields: (lab) => [
      ["host", "on_host", lab.hosts],
      ["command", "command", null],
    ],
    args: ({ host, command }) => {
      const line = words(command);
      return host && line.length ? [host, "--", ...line] : null;
    },
  },
  swap: {
    title: "swap_act",
    fields: (lab) => [["name", "controller_name", lab.controllers.length ? lab.controllers : null]],
    args: ({ name }) => (name ? [name] : null),
  },
  add: {
    title: "add_act",
    fields: (lab) => [
      ["name", "host_name", null],
      ["to", "to_switch", lab.switches],
    ],
    args: ({ name, to }) => (name && to ? ["host", name, "--to", to] : null),
  },
  break: {
    title: "break_act",
    fields: () => [["kind", "break_kind", null]],
    args: ({ kind }) => (kind ? [kind] : []),
    more: [
      ["tell_act", ["--tell"]],
      ["mend_act", ["--mend"]],
    ],
  },
  capture: {
    title: "capture_act",
    fields: () => [["what", "capture_what", null]],
    args: ({ what }) => words(what),
  },
  wireshark: { title: "wireshark_act", fields: () => [], args: () => [] },
  save: { title: "save_act", fields: () => [], args: () => ["-"] },
};

export class Acts {
  // live: the lab (`live_model.js`). changed(): results are to be shown anew. language(): its code.
  constructor(wire, live, { changed, language }) {
    Object.assign(this, { wire, live, changed, language });
    this.results = [];
    this.values = {}; // what was written into fields, by act: it stays when the page is made anew
  }

  can(act) {
    return !this.live.view && !this.live.dead && this.live.acts.includes(act);
  }

  run(act, args) {
    const result = {
      line: lineOf(this.live.name, act, args),
      act,
      output: "",
      cut: false,
      state: "running",
    };
    result.id = this.wire.ask(
      { type: "act", lab: this.live.name, act, args, language: this.language() },
      (answer) => this.take(result, answer),
    );
    this.results = [result, ...this.results].slice(0, MOST_RESULTS);
    this.changed(result);
    return result;
  }

  take(result, answer) {
    if (answer.type === "act.begun") result.line = answer.line;
    else if (answer.type === "act.output") {
      result.output += answer.text;
      if (result.output.length > MOST_LETTERS) {
        result.output = result.output.slice(-MOST_LETTERS);
        result.cut = true;
      }
    } else {
      this.wire.forget(result.id);
      const { ok, exit_code: code, line, error, run, undo, file, download } = answer;
      Object.assign(result, { ok, code, error, run, undo, file, download });
      result.line = line || result.line;
      result.state = answer.type === "act.done" ? (ok ? "done" : "failed") : "refused";
    }
    this.changed(result);
  }

  stop(result) {
    this.wire.send({ type: "act.stop", id: result.id });
  }
}

// A text of the server's: a string, or one for each language.
export const inLanguage = (text, speaker) =>
  text && typeof text === "object"
    ? (text[speaker.scene.languages[speaker.language]] ?? text.en)
    : (text ?? "");

// Acts as elements, in one language. copy(text, button); open(run); download(file);
// fetch(path): of a file of the server's.
export class ActsView {
  constructor(acts, speaker, { copy, open, download, fetch }) {
    Object.assign(this, { acts, speaker, copy, open, download, fetch });
    this.log = h("div", { class: "results" });
    this.heading = h("h2", { class: "title" });
    this.says = h("p", { class: "hidden", role: "status" });
    this.cards = new Map();
  }

  word(key, values) {
    return this.speaker.word(key, values);
  }

  // A line to copy.
  line(text) {
    const code = h("code", {}, text);
    const copy = h(
      "button",
      { type: "button", class: "small", onclick: () => this.copy(code.textContent, copy) },
      this.word("copy"),
    );
    const row = h("div", { class: "line" }, code, copy);
    return { row, code, copy };
  }

  // A button for an act without fields; its line is shown beside it.
  button(text, act, args, attributes = {}) {
    return h(
      "button",
      {
        type: "button",
        title: lineOf(this.acts.live.name, act, args),
        ...attributes,
        onclick: () => this.acts.run(act, args),
      },
      text,
    );
  }

  // What cannot be undone wants a second press.
  sure(text, sure, act, args) {
    const made = h(
      "button",
      {
        type: "button",
        class: "danger",
        title: lineOf(this.acts.live.name, act, args),
        onclick: () => {
          if (made.dataset.sure) return this.acts.run(act, args);
          made.dataset.sure = "yes";
          made.textContent = sure;
          return undefined;
        },
        onblur: () => {
          delete made.dataset.sure;
          made.textContent = text;
        },
      },
      text,
    );
    return made;
  }

  form(act) {
    const { acts } = this,
      form = FORMS[act],
      held = (acts.values[act] ??= {});
    const line = this.line("");
    const inputs = form.fields(acts.live).map(([name, word, choices, first]) => {
      const attributes = {
        name,
        onchange: () => renew(),
        oninput: () => renew(),
      };
      const known = held[name] ?? (choices?.includes(first) ? first : choices?.[0]) ?? "";
      const input = choices
        ? h(
            "select",
            attributes,
            choices.map((each) => h("option", { value: each, selected: each === known }, each)),
          )
        : h("input", {
            ...attributes,
            value: known,
            spellcheck: "false",
            autocomplete: "off",
            autocapitalize: "off",
          });
      return [name, input, h("label", {}, h("span", {}, this.word(word)), input)];
    });
    const run = h("button", { type: "submit", class: "run" }, this.word("run_it"));
    const renew = () => {
      for (const [name, input] of inputs) held[name] = input.value;
      const args = form.args(this.valuesOf(held));
      line.code.textContent = lineOf(acts.live.name, act, args);
      line.row.hidden = !args;
      run.disabled = !args;
    };
    const made = h(
      "form",
      {
        class: "act",
        "data-act": act,
        onsubmit: (event) => {
          event.preventDefault();
          const args = form.args(this.valuesOf(held));
          if (args) acts.run(act, args);
        },
      },
      h(
        "fieldset",
        {},
        h("legend", {}, this.word(form.title)),
        inputs.map(([, , label]) => label),
        h(
          "div",
          { class: "row-of-buttons" },
          run,
          (form.more ?? []).map(([word, args]) => this.button(this.word(word), act, args)),
        ),
        line.row,
      ),
    );
    renew();
    return made;
  }

  valuesOf(held) {
    return Object.fromEntries(
      Object.entries(held).map(([name, value]) => [name, value.trim()]),
    );
  }

  panel() {
    const { acts } = this;
    this.cards.clear();
    put(this.log);
    this.heading.textContent = acts.results.length ? this.word("results") : "";
    for (const result of acts.results) this.log.append(this.card(result));
    return [
      this.says,
      this.heading,
      this.log,
      Object.keys(FORMS).filter((act) => acts.can(act)).map((act) => this.form(act)),
    ];
  }

  // A result that is new, or has changed.
  show(result) {
    let card = this.cards.get(result);
    if (!card) {
      card = this.card(result);
      this.log.prepend(card);
      this.heading.textContent = this.word("results");
      while (this.log.children.length > MOST_RESULTS) this.log.lastElementChild.remove();
    }
    this.fill(result);
    this.says.textContent = `${result.line}: ${this.stateOf(result)}`;
  }

  card(result) {
    const parts = {
      line: this.line(result.line),
      state: h("p", { class: "state" }),
      output: h("pre", { class: "output mono", tabindex: "0" }),
      buttons: h("div", { class: "row-of-buttons" }),
    };
    const { act } = result;
    parts.output.setAttribute("aria-label", result.line);
    const made = h(
      "article",
      { class: "result", "data-act": act, "aria-label": result.line },
      parts.line.row,
      parts.state,
      parts.buttons,
      parts.output,
    );
    this.cards.set(result, made);
    made.parts = parts;
    this.fill(result);
    return made;
  }

  stateOf(result) {
    if (result.state === "running") return this.word("running");
    if (result.state === "done") return this.word("done_act");
    const text = inLanguage(result.error, this.speaker);
    if (result.state === "refused") return text || this.word("lost_server");
    return [this.word("failed_act", { n: result.code }), text].filter(Boolean).join(": ");
  }

  fill(result) {
    const card = this.cards.get(result),
      { parts } = card;
    parts.line.code.textContent = result.line;
    parts.state.textContent =
      (result.cut ? `${this.word("cut_output")} ` : "") + this.stateOf(result);
    parts.state.className = `state ${
      { running: "", done: "ok" }[result.state] ?? "bad"
    }`.trim();
    card.dataset.state = result.state;
    const { output } = parts;
    const atEnd = output.scrollTop + output.clientHeight >= output.scrollHeight - 4;
    output.textContent = result.output;
    output.hidden = !result.output;
    if (atEnd) output.scrollTop = output.scrollHeight;
    if (parts.shown === result.state) return;
    parts.shown = result.state;
    put(parts.buttons, this.after(result));
  }

  // What can be done with an act that runs, or with what came of it.
  after(result) {
    const { acts } = this;
    if (result.state === "running")
      return h(
        "button",
        { type: "button", onclick: () => acts.stop(result) },
        this.word("stop_it"),
      );
    const { undo, run, file, download } = result;
    return [
      undo && acts.can(undo.act)
        ? h(
            "button",
            {
              type: "button",
              class: "undo",
              title: lineOf(acts.live.name, undo.act, undo.args),
              onclick: (event) => {
                event.currentTarget.remove();
                result.undo = null;
                acts.run(undo.act, undo.args);
              },
            },
            this.word("undo"),
          )
        : null,
      run
        ? h("button", { type: "button", onclick: () => this.open(run) }, this.word("show_run"))
        : null,
      file
        ? h(
            "button",
            { type: "button", onclick: () => this.download(file) },
            this.word("download"),
          )
        : null,
      download
        ? h(
            "button",
            { type: "button", onclick: () => this.fetch(download) },
            this.word("download"),
          )
        : null,
    ];
  }
}

// SPDX-License-Identifier: Apache-2.0
// The labs that run, and the runs that are kept: what there is to look at.
import { h, put } from "./dom.js";

const size = (bytes) => {
  const at = bytes < 1e6 ? [bytes / 1e3, "kB"] : [bytes / 1e6, "MB"];
  return `${at[0].toLocaleString("en", { maximumFractionDigits: 1 })} ${at[1]}`;
};

export class Home {
  // open(kind, name): "lab" or "run"; download(path, name); remove(id): a promise.
  constructor(speaker, { open, download, remove, view }) {
    Object.assign(this, { speaker, open, download, remove, view });
    this.labs = h("ul", { class: "choices labs" });
    this.runs = h("ul", { class: "choices runs" });
    const word = (key) => speaker.word(key);
    this.element = h(
      "main",
      { class: "home" },
      h("h2", {}, word("labs")),
      this.labs,
      h("h2", {}, word("kept_runs")),
      this.runs,
    );
  }

  showLabs(labs) {
    const { speaker } = this;
    put(
      this.labs,
      labs.length
        ? labs.map((lab) => {
            const line = lab.controller ? "lab_line" : "lab_line_plain";
            return h(
              "li",
              {},
              h(
                "button",
                { type: "button", class: "choice", onclick: () => this.open("lab", lab.name) },
                h("b", {}, lab.name),
                h("span", {}, speaker.word(line, lab)),
              ),
            );
          })
        : h("li", { class: "note" }, speaker.word("no_labs"), " ", h("code", {}, "hoplab up web")),
    );
  }

  showRuns(runs) {
    const { speaker } = this;
    put(
      this.runs,
      runs.length
        ? runs.map((run) => this.run(run))
        : h("li", { class: "note" }, speaker.word("no_runs")),
    );
  }

  run(run) {
    const { speaker } = this,
      word = (key) => speaker.word(key);
    const when = new Date(run.when * 1000).toLocaleString(word("tag"));
    const item = h(
      "li",
      {},
      h(
        "button",
        { type: "button", class: "choice", onclick: () => this.open("run", run.id) },
        h("b", {}, run.title || run.name),
        h("span", {}, `${run.name} · ${when} · ${size(run.size)}`),
      ),
      h(
        "button",
        {
          type: "button",
          class: "small",
          "aria-label": `${word("page_file")}: ${run.name}`,
          onclick: () => this.download(`/api/runs/${run.id}/page`, `${run.name}.html`),
        },
        word("page_file"),
      ),
      this.view ? null : this.removal(run, () => item.remove()),
    );
    return item;
  }

  removal(run, gone) {
    const word = (key) => this.speaker.word(key);
    const made = h(
      "button",
      {
        type: "button",
        class: "small danger",
        onclick: () => {
          if (made.dataset.sure) return this.remove(run.id).then(gone);
          made.dataset.sure = "yes";
          made.textContent = word("delete_sure");
          return undefined;
        },
        onblur: () => {
          delete made.dataset.sure;
          made.textContent = word("delete");
        },
      },
      word("delete"),
    );
    return made;
  }
}

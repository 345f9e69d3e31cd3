// SPDX-License-Identifier: Apache-2.0
// The tables of a switch, a host or a router, as they are at this moment. What came flashes, and is
// announced; an entry has the packet that made it, where that is known.
import { h, put } from "./dom.js";

const keyOf = (row) => JSON.stringify(row);

// What has changed between two states of a node's tables: the rows that are new, by table, and how
// many came and went. before: undefined where nothing was known, so that nothing is new.
export function changesOf(before, tables) {
  const changes = tables.map(({ table, rows }) => {
    const old = new Set(before?.find((each) => each.table === table)?.rows.map(keyOf));
    const now = new Set(rows.map(keyOf));
    return {
      table,
      fresh: before ? new Set([...now].filter((key) => !old.has(key))) : new Set(),
      gone: before ? [...old].filter((key) => !now.has(key)).length : 0,
    };
  });
  for (const { table, rows } of before ?? [])
    if (!tables.some((each) => each.table === table))
      changes.push({ table, fresh: new Set(), gone: rows.length });
  return changes;
}

export class TablesView {
  // live: the lab (`live_model.js`); want(nodes): asks for their tables; pick(packet): shows it,
  // and gives whether it can.
  constructor(speaker, live, { want, pick }) {
    Object.assign(this, { speaker, live, want, pick });
    this.tables = h("div", { class: "tables" });
    this.says = h("p", { class: "hidden", role: "status" });
    this.chosen = h("select", { onchange: () => this.choose(this.chosen.value) });
  }

  word(key, values) {
    return this.speaker.word(key, values);
  }

  panel() {
    const nodes = [...this.live.switches, ...this.live.hosts];
    if (!nodes.includes(this.live.tablesOf)) this.live.tablesOf = nodes[0];
    put(
      this.chosen,
      nodes.map((name) =>
        h("option", { value: name, selected: name === this.live.tablesOf }, name),
      ),
    );
    this.show();
    return [
      h("label", { class: "choose" }, h("span", {}, `${this.word("tables_of")} `), this.chosen),
      this.says,
      this.tables,
    ];
  }

  // The panel is looked at, or is not any more.
  seen(whether) {
    this.want(whether && this.live.tablesOf ? [this.live.tablesOf] : []);
  }

  choose(name) {
    this.live.tablesOf = name;
    if (this.chosen.value !== name) this.chosen.value = name;
    this.seen(true);
    this.show();
  }

  // A node's tables came, with what is new in them.
  came(node, changes) {
    if (node !== this.live.tablesOf) return;
    this.show(changes);
    const said = changes
      .filter(({ fresh, gone }) => fresh.size || gone)
      .map(({ table, fresh, gone }) =>
        this.word("table_changed", { table: this.word(`table_${table}`), n: fresh.size, m: gone }),
      );
    if (said.length) this.says.textContent = `${node}: ${said.join(" ")}`;
  }

  show(changes = []) {
    const tables = this.live.tables.get(this.live.tablesOf);
    if (this.tables.contains(this.tables.getRootNode().activeElement) && !changes.length) return;
    put(
      this.tables,
      tables
        ? tables.map((table) =>
            this.table(table, changes.find((each) => each.table === table.table)?.fresh),
          )
        : h("p", { class: "note" }, this.word("tables_coming")),
    );
  }

  table({ table, columns, rows, packets }, fresh) {
    const known = packets.some(Boolean);
    return h(
      "table",
      { "data-table": table },
      h("caption", {}, this.word(`table_${table}`)),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map((name) => h("th", { scope: "col" }, this.word(`column_${name}`))),
          known ? h("th", { scope: "col" }, this.word("column_made_by")) : null,
        ),
      ),
      h(
        "tbody",
        {},
        rows.length
          ? rows.map((row, at) =>
              h(
                "tr",
                { class: fresh?.has(keyOf(row)) ? "fresh" : null },
                row.map((cell) => h("td", {}, cell)),
                known ? h("td", {}, packets[at] ? this.packet(packets[at]) : null) : null,
              ),
            )
          : h("tr", {}, h("td", { colspan: columns.length, class: "note" }, this.word("no_rows"))),
      ),
    );
  }

  packet(number) {
    return h(
      "button",
      {
        type: "button",
        class: "small",
        "aria-label": this.word("show_packet", { n: number }),
        onclick: () => {
          if (!this.pick(number)) this.says.textContent = this.word("too_old", { n: number });
        },
      },
      `#${number}`,
    );
  }
}

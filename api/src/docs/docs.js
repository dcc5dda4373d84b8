// Shows the OpenAPI document of this server. Texts become text nodes, never markup.
"use strict";

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const schemaId = (name) => `schema-${name}`;

function typeOf(schema) {
  if (schema === undefined || schema === null) return document.createTextNode("");
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return element("a", { href: `#${schemaId(name)}` }, name);
  }
  const many = schema.anyOf || schema.oneOf || schema.allOf;
  if (many) {
    const parts = many.flatMap((part, index) => (index === 0 ? [typeOf(part)] : [" or ", typeOf(part)]));
    return element("span", {}, ...parts);
  }
  if (schema.enum) return element("span", {}, schema.enum.map(String).join(" | "));
  if (schema.const !== undefined) return element("span", {}, String(schema.const));
  if (schema.type === "array") return element("span", {}, "list of ", typeOf(schema.items));
  const type = Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type || "any";
  const of = schema.additionalProperties && typeof schema.additionalProperties === "object"
    ? [" of ", typeOf(schema.additionalProperties)] : [];
  return element("span", {}, schema.format ? `${type} (${schema.format})` : type, ...of);
}

function table(heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

function operation(path, method, what) {
  const open = Array.isArray(what.security) && what.security.every((scheme) => Object.keys(scheme).length === 0);
  const summary = element("summary", {},
    element("span", { class: "method" }, method), element("code", {}, path), " ", what.summary || "",
    open ? element("span", { class: "open" }, "no sign-in") : null);
  const parts = [summary];
  if (what.description) parts.push(element("p", {}, what.description));
  const parameters = what.parameters || [];
  if (parameters.length > 0) {
    parts.push(table(["Parameter", "In", "Type", "What it is"], parameters.map((parameter) => [
      element("code", {}, parameter.name), parameter.in, typeOf(parameter.schema), parameter.description || ""])));
  }
  const responses = Object.entries(what.responses || {}).sort();
  parts.push(table(["Status", "What it means", "Body"], responses.map(([status, response]) => {
    const content = Object.values(response.content || {})[0];
    return [status, response.description || "", content ? typeOf(content.schema) : ""];
  })));
  return element("details", { id: what.operationId, "data-find": `${method} ${path} ${what.summary}`.toLowerCase() }, ...parts);
}

function schema(name, what) {
  const parts = [element("summary", {}, element("code", {}, name))];
  if (what.description) parts.push(element("p", {}, what.description));
  const required = new Set(what.required || []);
  const fields = Object.entries(what.properties || {});
  if (fields.length > 0) {
    parts.push(table(["Field", "Type", "What it is"], fields.map(([field, type]) => [
      element("code", {}, required.has(field) ? `${field} *` : field), typeOf(type), type.description || ""])));
  } else if (what.oneOf) {
    parts.push(table(["Value", "What it is"], what.oneOf.map((one) => [typeOf(one), one.description || ""])));
  } else {
    parts.push(element("p", { class: "type" }, typeOf(what)));
  }
  return element("details", { id: schemaId(name), "data-find": name.toLowerCase() }, ...parts);
}

function show() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}

function find(text) {
  for (const one of document.querySelectorAll("details")) one.hidden = !one.dataset.find.includes(text.trim().toLowerCase());
}

async function main() {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`/openapi.json answered ${response.status}`);
  const api = await response.json();
  document.getElementById("title").textContent = `${api.info.title} ${api.info.version}`;
  document.getElementById("description").textContent = api.info.description;
  const operations = Object.entries(api.paths).sort().flatMap(([path, item]) =>
    Object.entries(item).map(([method, what]) => operation(path, method, what)));
  document.getElementById("operations").append(...operations);
  const schemas = Object.entries(api.components.schemas).sort().map(([name, what]) => schema(name, what));
  document.getElementById("schemas").append(...schemas);
  document.getElementById("search").addEventListener("input", (event) => find(event.target.value));
  addEventListener("hashchange", show);
  show();
}

main().catch((error) => {
  const failure = document.getElementById("failure");
  failure.textContent = `The document cannot be shown: ${error.message}. Load the page again.`;
  failure.hidden = false;
});

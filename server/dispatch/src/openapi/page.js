
'use strict';

function make(name, parent, text) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function field(parent, text, type, note) {
  const label = make('label', parent);
  make('span', label, text);
  const input = make('input', label);
  input.type = type || 'text';
  input.autocomplete = 'off';
  if (note) make('small', label, note);
  return input;
}

// a text whose names stand between backticks
function prose(parent, text) {
  const paragraph = make('p', parent);
  text.split('`').forEach((part, index) => (index % 2 ? make('code', paragraph, part) : paragraph.append(part)));
}

// what a schema that stands elsewhere is
function resolve(api, schema) {
  const name = schema && schema.$ref && schema.$ref.split('/').pop();
  return name ? api.components.schemas[name] : schema || {};
}

function typeOf(api, schema) {
  const found = resolve(api, schema);
  const type = Array.isArray(found.type) ? found.type.join(' or ') : found.type || 'anything';
  return found.items ? 'list of ' + typeOf(api, found.items) : found.format && type === 'string' ? found.format : type;
}

// a value that fits a schema
function sample(api, unresolved) {
  const schema = resolve(api, unresolved);
  if (schema.const !== undefined) return schema.const;
  if (schema.properties) {
    return Object.fromEntries(Object.entries(schema.properties).map(([name, inner]) => [name, sample(api, inner)]));
  }
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  return { object: {}, array: schema.items ? [sample(api, schema.items)] : [], integer: 0, number: 0, boolean: false }[type] ?? '';
}

function sampleText(api, type, unresolved) {
  const schema = resolve(api, unresolved);
  if (type === 'application/json') {
    const value = schema.properties ? sample(api, schema) : {};
    // of a call of JSON-RPC: whose input is not declared takes any
    if (value.jsonrpc) Object.assign(value, { params: value.params || {}, id: 1 });
    return JSON.stringify(value, null, 2);
  }
  const names = Object.keys(schema.properties || {});
  if (type === 'application/x-www-form-urlencoded') return names.map((name) => encodeURIComponent(name) + '=').join('&');
  if (schema.xml) {
    const root = schema.xml.name;
    return ['<' + root + '>', ...names.map((name) => '  <' + name + '></' + name + '>'), '</' + root + '>'].join('\n');
  }
  return '';
}

// what the body's parts are
function parts(api, schema, parent) {
  const { properties, required } = resolve(api, schema);
  if (!properties) return;
  const table = make('table', parent);
  for (const [name, inner] of Object.entries(properties)) {
    const row = make('tr', table);
    make('code', make('td', row), name);
    make('td', row, typeOf(api, inner));
    make('td', row, (required || []).includes(name) ? 'required' : '');
  }
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

// fields for the first way in; gives what puts them into headers
function credentials(form, api, operation) {
  const writers = [];
  for (const name of Object.keys((operation.security || [{}])[0])) {
    const scheme = api.components.securitySchemes[name];
    if (scheme.scheme === 'basic') {
      const user = field(form, 'User name');
      const password = field(form, 'Password', 'password');
      writers.push((headers) => user.value && headers.set('Authorization', 'Basic ' + base64(user.value + ':' + password.value)));
    } else if (scheme.scheme === 'bearer') {
      const token = field(form, 'Token', 'password');
      writers.push((headers) => token.value && headers.set('Authorization', 'Bearer ' + token.value));
    } else if (scheme.type === 'apiKey') {
      const key = field(form, scheme.name, 'password', 'header');
      writers.push((headers) => key.value && headers.set(scheme.name, key.value));
    }
  }
  return (headers) => writers.forEach((write) => write(headers));
}

function address(path, inputs) {
  const query = new URLSearchParams();
  for (const [parameter, input] of inputs) {
    if (parameter.in === 'path') path = path.replace('{' + parameter.name + '}', () => encodeURIComponent(input.value));
    else if (input.value !== '' || parameter.required) query.append(parameter.name, input.value);
  }
  // relative to this page, so that it works behind a proxy's prefix too
  return '.' + path + (query.size ? '?' + query : '');
}

// fields for the body; gives what it is and of which type
function bodyOf(form, api, content) {
  const type = Object.keys(content)[0];
  const schema = resolve(api, content[type].schema);
  const variants = schema.oneOf || [schema];
  let select;
  if (schema.oneOf) {
    const label = make('label', form);
    make('span', label, 'Method');
    select = make('select', label);
    variants.forEach((variant) => make('option', select, variant.title));
  }
  const table = make('div', form);
  const text = make('textarea', make('label', form, type === '*/*' ? 'Body' : 'Body, ' + type));
  text.spellcheck = false;
  const fill = () => {
    const variant = variants[select ? select.selectedIndex : 0];
    text.value = sampleText(api, type, variant);
    table.replaceChildren();
    parts(api, schema.oneOf ? variant.properties.params : variant, table);
  };
  fill();
  if (select) select.addEventListener('change', fill);
  return { type, text };
}

function pretty(text, type) {
  if (!(type || '').includes('json')) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function send(url, options, answer) {
  answer.hidden = false;
  answer.textContent = '...';
  const started = performance.now();
  try {
    const response = await fetch(url, options);
    const text = await response.text();
    const took = Math.round(performance.now() - started);
    answer.textContent = '';
    const status = make('strong', answer, response.status + ' ' + response.statusText);
    if (response.ok) status.className = 'good';
    answer.append(' in ' + took + ' ms');
    make('pre', answer, [...response.headers].map(([name, value]) => name + ': ' + value).join('\n'));
    make('pre', answer, pretty(text, response.headers.get('Content-Type')));
  } catch (error) {
    answer.textContent = 'There was no answer: ' + error;
  }
}

function show(api, path, method, operation, parent) {
  const details = make('details', parent);
  details.dataset.text = [method, path, operation.summary, operation.description].join(' ').toLowerCase();
  const summary = make('summary', details);
  make('b', summary, method.toUpperCase()).className = method;
  make('code', summary, path);
  make('span', summary, operation.summary);
  const form = make('form', details);
  prose(form, operation.description);
  const inputs = (operation.parameters || []).map((parameter) => {
    const note = [typeOf(api, parameter.schema), parameter.required ? 'required' : ''].filter(Boolean).join(', ');
    const input = field(form, parameter.name, 'text', note);
    input.required = parameter.required && parameter.in === 'path';
    return [parameter, input];
  });
  const authorize = credentials(form, api, operation);
  const body = operation.requestBody && bodyOf(form, api, operation.requestBody.content);
  const button = make('button', form, 'Send');
  const answer = make('output', form);
  answer.hidden = true;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const headers = new Headers();
    authorize(headers);
    if (body && body.type !== '*/*') headers.set('Content-Type', body.type);
    // what the browser knows of this page's user is not for the call
    const options = { method: method.toUpperCase(), headers, credentials: 'omit', cache: 'no-store', body: body ? body.text.value : undefined };
    button.disabled = true;
    await send(address(path, inputs), options, answer);
    button.disabled = false;
  });
}

// shows what has all words of the search in it
function search(main, words) {
  for (const details of main.querySelectorAll('details')) details.hidden = !words.every((word) => details.dataset.text.includes(word));
  for (const section of main.querySelectorAll('section')) section.hidden = !section.querySelector('details:not([hidden])');
}

async function start() {
  const main = document.querySelector('main');
  const response = await fetch('./openapi.json', { cache: 'no-store' });
  if (!response.ok) {
    make('p', main, 'The description cannot be read: ' + response.status);
    return;
  }
  const api = await response.json();
  document.title = api.info.title;
  const header = make('header', main);
  make('h1', header, api.info.title);
  const link = make('a', header, 'openapi.json');
  link.href = './openapi.json';
  if (!api.tags.length) {
    make('p', main, 'No service can be called over a channel yet.');
    return;
  }
  const box = make('input', main);
  box.type = 'search';
  box.placeholder = 'Search by path, service or channel';
  box.addEventListener('input', () => search(main, box.value.toLowerCase().split(/\s+/)));
  const sections = new Map();
  for (const tag of api.tags) {
    const section = make('section', main);
    make('h2', section, tag.name);
    sections.set(tag.name, section);
  }
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) show(api, path, method, operation, sections.get(operation.tags[0]));
  }
}

start().catch((error) => make('p', document.querySelector('main'), 'The description cannot be read: ' + error));

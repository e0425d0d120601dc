
'use strict';

function make(name, parent, text) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function field(parent, text, type) {
  const label = make('label', parent);
  make('span', label, text);
  const input = make('input', label);
  input.type = type || 'text';
  input.autocomplete = 'off';
  return input;
}

// a value that fits a schema
function sample(schema) {
  if (schema.properties) {
    return Object.fromEntries(Object.entries(schema.properties).map(([name, inner]) => [name, sample(inner)]));
  }
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  return { object: {}, array: schema.items ? [sample(schema.items)] : [], integer: 0, number: 0, boolean: false }[type] ?? '';
}

function sampleText(type, schema) {
  if (type === 'application/json') return JSON.stringify(schema && schema.properties ? sample(schema) : {}, null, 2);
  const names = Object.keys((schema && schema.properties) || {});
  if (type === 'application/x-www-form-urlencoded') return names.map((name) => encodeURIComponent(name) + '=').join('&');
  if (schema && schema.xml) {
    const root = schema.xml.name;
    return ['<' + root + '>', ...names.map((name) => '  <' + name + '></' + name + '>'), '</' + root + '>'].join('\n');
  }
  return '';
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
      const key = field(form, scheme.name, 'password');
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

function show(api, path, method, operation, parent) {
  const details = make('details', parent);
  const summary = make('summary', details);
  make('b', summary, method.toUpperCase());
  make('code', summary, path);
  summary.append(operation.summary);
  const form = make('form', details);
  make('p', form, operation.description);
  const inputs = (operation.parameters || []).map((parameter) => {
    const input = field(form, parameter.name + (parameter.required ? ' *' : ''));
    input.required = parameter.required && parameter.in === 'path';
    return [parameter, input];
  });
  const authorize = credentials(form, api, operation);
  let body, type;
  if (operation.requestBody) {
    const content = operation.requestBody.content;
    type = Object.keys(content)[0];
    body = make('textarea', make('label', form, 'Body' + (type === '*/*' ? '' : ', ' + type)));
    body.value = sampleText(type, content[type].schema);
  }
  make('button', form, 'Send');
  const answer = make('pre', form);
  answer.hidden = true;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    answer.hidden = false;
    answer.textContent = '...';
    const headers = new Headers();
    authorize(headers);
    if (body && type !== '*/*') headers.set('Content-Type', type);
    try {
      // what the browser knows of this page's user is not for the call
      const options = { method: method.toUpperCase(), headers, credentials: 'omit', cache: 'no-store', body: body ? body.value : undefined };
      const response = await fetch(address(path, inputs), options);
      const lines = [...response.headers].map(([name, value]) => name + ': ' + value);
      answer.textContent = [response.status + ' ' + response.statusText, ...lines, '', await response.text()].join('\n');
    } catch (error) {
      answer.textContent = 'There was no answer: ' + error;
    }
  });
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
  make('h1', main, api.info.title);
  const link = make('a', main, 'openapi.json');
  link.href = './openapi.json';
  const sections = new Map();
  for (const tag of api.tags) {
    const section = make('section', main);
    make('h2', section, tag.name);
    sections.set(tag.name, section);
  }
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) show(api, path, method, operation, sections.get(operation.tags[0]));
  }
  if (!api.tags.length) make('p', main, 'No service can be called over a channel yet.');
}

start().catch((error) => make('p', document.querySelector('main'), 'The description cannot be read: ' + error));

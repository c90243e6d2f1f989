// Keeps the page's files, so that it works offline, and answers with the headers that WebAssembly's threads need.
const SCOPE = `${self.registration.scope} `, KEPT = `${SCOPE}BUILD`;
const FILES = ["FILES"]; // the build writes them

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(KEPT);
    await cache.addAll(FILES);
    await self.skipWaiting();
  })());
});
self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith(SCOPE) && name !== KEPT) await caches.delete(name);
    await self.clients.claim();
  })());
});
self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET" || new URL(event.request.url).origin !== location.origin) return;
  event.respondWith((async () => {
    const cache = await caches.open(KEPT);
    let response = await cache.match(event.request, { ignoreSearch: true });
    if (!response) {
      response = await fetch(event.request);
      if (response.ok) await cache.put(event.request, response.clone());
    }
    const headers = new Headers(response.headers);
    headers.set("Cross-Origin-Opener-Policy", "same-origin");
    headers.set("Cross-Origin-Embedder-Policy", "require-corp");
    return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
  })());
});

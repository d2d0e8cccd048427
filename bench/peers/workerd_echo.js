// The one worker that workerd serves: sends the request's body back.
export default {
  async fetch(request) {
    return new Response(await request.arrayBuffer(), { headers: { "Content-Type": "application/octet-stream" } });
  },
};

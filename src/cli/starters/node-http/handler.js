// {{name}}: a function for Sterna. Deploy it, call it, read what it logged:
//
//     sterna deploy {{name}}
//     sterna invoke {{name}} -p '/some/path?who=you'
//     sterna logs {{name}}
//
// Other modules can lie beside this file. Code outside of handle runs once in each worker, handle once for each call.
// An async function serves many calls at a time in one worker, a plain one serves one.

// req has method, path, query, headers, body (a Buffer), text(), json(), and signal. console goes to the function's logs.
exports.handle = async (req) => {
  const who = req.query.get("who") ?? "world";
  console.log(req.method, req.path);
  return {
    status: 200,
    headers: { "Content-Type": "application/json" },
    body: { hello: who, path: req.path },
  };
};

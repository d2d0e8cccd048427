// {{name}}: a function for Sterna. Deploy it, call it, read what it logged:
//
//     sterna deploy {{name}}
//     sterna invoke {{name}} -p '/some/path?who=you'
//     sterna logs {{name}}
//
// One call at a time runs in one worker, unless limits.concurrency in function.toml says otherwise.
#include <sterna/function.h>

#include <iostream>
#include <string>

namespace {

// As a JSON string.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out + '"';
}

}  // namespace

// request has method, path, query, body, header(name), query_value(name). std::cout and std::cerr go to the
// function's logs; what is thrown is 500 for the caller.
sterna::Response handle(const sterna::Request& request) {
  const std::string who = request.query_value("who").value_or("world");
  std::cout << request.method << ' ' << request.path << '\n';
  return sterna::json("{\"hello\":" + quoted(who) + ",\"path\":" + quoted(request.path) + "}");
}

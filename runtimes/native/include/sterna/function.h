// What a function in C++ is written against:
//
//     #include <sterna/function.h>
//
//     sterna::Response handle(const sterna::Request& request) {
//       return sterna::text("hello " + request.query_value("who").value_or("world"));
//     }
//
// Needs C++17; nothing has to be linked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sterna/call.h"

namespace sterna {

using Header = std::pair<std::string, std::string>;

// Valid while `handle` runs, and until a streamed answer has ended.
class Request {
 public:
  explicit Request(const sterna_call_v1& call)
      : method(view(call.method)),
        path(view(call.path)),
        query(view(call.query)),
        body(view(call.body)),
        call_(call) {}
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  const std::string_view method;
  const std::string_view path;   // percent-decoded, begins with '/'
  const std::string_view query;  // as sent, without '?'
  const std::string_view body;

  // The first header of that name, without regard to case.
  std::optional<std::string_view> header(std::string_view name) const {
    std::optional<std::string_view> found;
    each_header([&](std::string_view one, std::string_view value) {
      if (!found && equal(one, name)) found = value;
    });
    return found;
  }
  // All, in order, repeated ones too.
  std::vector<std::pair<std::string_view, std::string_view>> headers() const {
    std::vector<std::pair<std::string_view, std::string_view>> all;
    each_header([&](std::string_view name, std::string_view value) { all.emplace_back(name, value); });
    return all;
  }
  // The first parameter of that name, decoded.
  std::optional<std::string> query_value(std::string_view name) const {
    for (auto& [key, value] : query_values()) {
      if (key == name) return value;
    }
    return std::nullopt;
  }
  // All parameters, decoded, in order.
  std::vector<std::pair<std::string, std::string>> query_values() const {
    std::vector<std::pair<std::string, std::string>> all;
    for (std::string_view rest = query; !rest.empty();) {
      const std::string_view part = rest.substr(0, rest.find('&'));
      rest.remove_prefix(part.size() < rest.size() ? part.size() + 1 : part.size());
      const std::size_t equals = part.find('=');
      if (part.empty()) continue;
      all.emplace_back(decode(part.substr(0, equals)),
                       equals == std::string_view::npos ? std::string() : decode(part.substr(equals + 1)));
    }
    return all;
  }
  std::string_view call_id() const { return header("x-call-id").value_or(std::string_view()); }
  // The caller is gone or the time is over: long work may as well stop.
  bool cancelled() const { return call_.is_cancelled(call_.host) != 0; }

 private:
  static std::string_view view(sterna_bytes_v1 bytes) { return {bytes.data, bytes.size}; }
  static char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
  static bool equal(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (lower(a[i]) != lower(b[i])) return false;
    }
    return true;
  }
  static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
  }
  static std::string decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool escape =
          text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
      out += escape           ? static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]))
             : text[i] == '+' ? ' '
                              : text[i];
      if (escape) i += 2;
    }
    return out;
  }
  template <class Each>
  void each_header(Each each) const {
    const char* at = call_.headers.data;
    for (std::uint32_t left = call_.header_count; left > 0; --left) {
      std::uint32_t sizes[2];
      std::memcpy(sizes, at, sizeof sizes);
      at += sizeof sizes;
      each(std::string_view(at, sizes[0]), std::string_view(at + sizes[0], sizes[1]));
      at += sizes[0] + sizes[1];
    }
  }

  const sterna_call_v1& call_;
};

// Sends the parts of a streamed body. Status and headers go before the first one, so that an exception until
// then is still a clean 500.
class Writer {
 public:
  // Outlived by both; `begin` sends status and headers.
  Writer(const sterna_call_v1& call, std::function<void()> begin) : call_(call), begin_(std::move(begin)) {}
  // Waits until the caller can take it. False: the caller is gone; return soon.
  bool write(std::string_view part) {
    start();
    return call_.write(call_.host, {part.data(), part.size()}) != 0;
  }
  // Before the first part: sends status and headers at once.
  void start() {
    if (const auto begin = std::exchange(begin_, nullptr)) begin();
  }

 private:
  const sterna_call_v1& call_;
  std::function<void()> begin_;
};

struct Response {
  int status = 200;  // 200 to 599
  std::string body{};
  std::vector<Header> headers{};  // without a Content-Type the body is application/octet-stream
  // Instead of `body`: called once, after `handle` has returned.
  std::function<void(Writer&)> stream{};
};

inline Response with_type(std::string body, std::string type, int status) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  response.headers.emplace_back("Content-Type", std::move(type));
  return response;
}
inline Response text(std::string body, int status = 200) {
  return with_type(std::move(body), "text/plain; charset=utf-8", status);
}
// `body` is JSON already.
inline Response json(std::string body, int status = 200) {
  return with_type(std::move(body), "application/json", status);
}

}  // namespace sterna

// The function's own.
sterna::Response handle(const sterna::Request& request);

namespace sterna::border {

inline void append(std::string& block, std::string_view name, std::string_view value) {
  const std::uint32_t sizes[2] = {static_cast<std::uint32_t>(name.size()),
                                  static_cast<std::uint32_t>(value.size())};
  block.append(reinterpret_cast<const char*>(sizes), sizeof sizes).append(name).append(value);
}

inline bool is_content_type(std::string_view name) {
  constexpr std::string_view kName = "content-type";
  return std::equal(name.begin(), name.end(), kName.begin(), kName.end(),
                    [](char a, char b) { return a == b || (a >= 'A' && a <= 'Z' && a - 'A' + 'a' == b); });
}

inline void answer(const sterna_call_v1& call, const Response& response) {
  std::string block;
  std::uint32_t count = 0;
  bool has_type = false;
  for (const auto& [name, value] : response.headers) {
    has_type = has_type || is_content_type(name);
    append(block, name, value);
    ++count;
  }
  if (!has_type && (response.stream || !response.body.empty())) {
    append(block, "Content-Type", "application/octet-stream");
    ++count;
  }
  const auto respond = [&](std::string_view body, int more) {
    call.respond(call.host, static_cast<std::uint32_t>(response.status), {block.data(), block.size()}, count,
                 {body.data(), body.size()}, more);
  };
  if (!response.stream) return respond(response.body, 0);
  Writer writer(call, [&] { respond({}, 1); });
  response.stream(writer);
  writer.start();
  call.end(call.host);
}

}  // namespace sterna::border

// What the runtime looks up. Exceptions end here.
extern "C" __attribute__((visibility("default"), used)) inline void sterna_handle_v1(
    const sterna_call_v1* call) {
  try {
    const sterna::Request request(*call);
    sterna::border::answer(*call, handle(request));
  } catch (const std::exception& error) {
    const char* const what = error.what();
    const std::string_view text = what == nullptr ? "an exception without a text" : what;
    call->fail(call->host, {text.data(), text.size()});
  } catch (...) {
    constexpr std::string_view kText = "an exception that is no std::exception";
    call->fail(call->host, {kText.data(), kText.size()});
  }
}

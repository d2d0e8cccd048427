#include <signal.h>
#include <sterna/function.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    unsigned block = 0;
    for (std::size_t i = 0; i < 3; ++i)
      block = block << 8U | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i)
      out += at + i <= bytes.size() ? kDigits[block >> (18U - 6U * i) & 63U] : '=';
  }
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

template <class Pairs>
std::string pairs(const Pairs& all) {
  std::string out;
  for (const auto& [name, value] : all)
    out += (out.empty() ? "[" : ",[") + quoted(name) + "," + quoted(value) + "]";
  return "[" + out + "]";
}

sterna::Response mirror(const sterna::Request& request) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (const auto& [name, value] : request.headers()) headers.emplace_back(lower(name), value);
  return sterna::json("{\"method\":" + quoted(request.method) + ",\"path\":" + quoted(request.path) +
                      ",\"query\":" + pairs(request.query_values()) + ",\"headers\":" + pairs(headers) +
                      ",\"body\":" + quoted(base64(request.body)) + "}");
}

sterna::Response in_parts() {
  sterna::Response response;
  response.stream = [](sterna::Writer& writer) {
    for (int number = 0; number < 3; ++number) {
      writer.write("part " + std::to_string(number) + "\n");
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
    }
  };
  return response;
}

sterna::Response until_cancelled(const sterna::Request& request) {
  sterna::Response response;
  response.stream = [&request](sterna::Writer& writer) {
    while (!request.cancelled() && writer.write("part\n")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    std::puts("cleaned up");
  };
  return response;
}

}  // namespace

sterna::Response handle(const sterna::Request& request) {
  const auto value = [&](const char* name) { return request.query_value(name).value_or(""); };
  if (request.path == "/mirror") return mirror(request);
  if (request.path == "/echo") return {200, std::string(request.body), {}, {}};
  if (request.path == "/answer")
    return {418, "tea", {{"X-Tea", "green"}, {"X-Tea", "black"}, {"Connection", "close"}}, {}};
  if (request.path == "/large") return {200, std::string(std::stoul(value("bytes")), 'x'), {}, {}};
  if (request.path == "/stream") return in_parts();
  if (request.path == "/until-cancelled") return until_cancelled(request);
  if (request.path == "/log") {
    std::fputs(("to stdout " + value("word")).c_str(), stdout);
    std::cerr << "to stderr " << value("word") << std::endl;
    return sterna::text("logged");
  }
  if (request.path == "/sleep") {
    std::this_thread::sleep_for(std::chrono::duration<double>(std::stod(value("seconds"))));
    return sterna::text("slept");
  }
  if (request.path == "/leave") ::_exit(3);
  if (request.path == "/crash") std::abort();
  if (request.path == "/kill") ::kill(::getpid(), SIGKILL);
  if (request.path == "/environment") {
    return sterna::json("{\"COLOUR\":" + quoted(std::getenv("COLOUR")) +
                        ",\"STERNA_FUNCTION\":" + quoted(std::getenv("STERNA_FUNCTION")) + "}");
  }
  throw std::runtime_error("on purpose");
}

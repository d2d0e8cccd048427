#include "protocol.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <utility>

namespace sterna::bench {
namespace {

constexpr std::string_view kLine = "\r\n";
constexpr std::size_t kRefusalShown = 300;

std::size_t number(std::string_view text) {
  std::size_t found = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), found);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw std::runtime_error("not a number: " + std::string(text));
  }
  return found;
}

bool equal_ignoring_case(std::string_view left, std::string_view right) {
  const auto lower = [](char letter) {
    return letter >= 'A' && letter <= 'Z' ? letter + ('a' - 'A') : letter;
  };
  return std::ranges::equal(left, right, {}, lower, lower);
}

class Http final : public Protocol {
 public:
  explicit Http(const Invocation& invocation) {
    request_ = "POST " + invocation.path +
               " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n";
    if (!invocation.callback.empty()) request_ += "X-Callback-Url: " + invocation.callback + "\r\n";
    request_ += "Content-Length: " + std::to_string(invocation.body.size()) + "\r\n\r\n" + invocation.body;
  }

  std::string hello(unsigned) const override { return {}; }
  std::string request(unsigned) const override { return request_; }

  std::optional<Reply> take_reply(std::string& in) const override {
    const auto message = http_message(in);
    if (!message) return std::nullopt;
    Reply reply{.accepted = message->head.starts_with("HTTP/1.1 202 "),
                .id = std::string(header(message->head, "X-Call-Id"))};
    if (!reply.accepted) {
      reply.text = std::string(message->head.substr(0, message->head.find(kLine))) + " " +
                   std::string(message->body.substr(0, kRefusalShown));
    }
    in.erase(0, message->size);
    return reply;
  }

 private:
  std::string request_;
};

class Nats final : public Protocol {
 public:
  Nats(std::string subject, const std::string& body)
      : subject_(std::move(subject)), payload_(std::to_string(body.size()) + "\r\n" + body + "\r\n") {}

  std::string hello(unsigned connection) const override {
    return "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB " + inbox(connection) + " 1\r\n";
  }
  std::string request(unsigned connection) const override {
    return "PUB " + subject_ + " " + inbox(connection) + " " + payload_;
  }

  std::optional<Reply> take_reply(std::string& in) const override {
    for (;;) {
      const auto end = in.find(kLine);
      if (end == std::string::npos) return std::nullopt;
      const std::string line = in.substr(0, end);
      if (!line.starts_with("MSG ")) {
        in.erase(0, end + kLine.size());
        if (line.starts_with("-ERR")) return Reply{.text = line};
        continue;  // INFO, PING: nothing that has to be answered within a measurement
      }
      const std::size_t size = number(std::string_view(line).substr(line.rfind(' ') + 1));
      const std::size_t whole = end + kLine.size() + size + kLine.size();
      if (in.size() < whole) return std::nullopt;
      std::string payload = in.substr(end + kLine.size(), size);
      in.erase(0, whole);
      return Reply{.accepted = payload.find("\"error\"") == std::string::npos, .text = std::move(payload)};
    }
  }

 private:
  static std::string inbox(unsigned connection) { return "_INBOX.bench." + std::to_string(connection); }

  std::string subject_;
  std::string payload_;
};

class Redis final : public Protocol {
 public:
  Redis(const std::string& key, const std::string& body) {
    request_ = "*5\r\n" + bulk("XADD") + bulk(key) + bulk("*") + bulk("body") + bulk(body);
  }

  std::string hello(unsigned) const override { return {}; }
  std::string request(unsigned) const override { return request_; }

  std::optional<Reply> take_reply(std::string& in) const override {
    const auto end = in.find(kLine);
    if (end == std::string::npos) return std::nullopt;
    const std::string line = in.substr(0, end);
    if (!line.starts_with('$')) {
      in.erase(0, end + kLine.size());
      return Reply{.text = line};
    }
    const std::size_t size = number(std::string_view(line).substr(1));
    const std::size_t whole = end + kLine.size() + size + kLine.size();
    if (in.size() < whole) return std::nullopt;
    in.erase(0, whole);
    return Reply{.accepted = true};
  }

 private:
  static std::string bulk(const std::string& text) {
    return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
  }

  std::string request_;
};

}  // namespace

std::string_view header(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find(kLine); at != std::string_view::npos; at = head.find(kLine, at + 2)) {
    const auto line = head.substr(at + 2, head.find(kLine, at + 2) - at - 2);
    if (line.size() <= name.size() || line[name.size()] != ':') continue;
    if (!equal_ignoring_case(line.substr(0, name.size()), name)) continue;
    const auto value = line.find_first_not_of(' ', name.size() + 1);
    return value == std::string_view::npos ? std::string_view() : line.substr(value);
  }
  return {};
}

std::optional<Message> http_message(std::string_view in) {
  const auto end = in.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  const auto head = in.substr(0, end + 2);
  if (!header(head, "Transfer-Encoding").empty()) throw std::runtime_error("a message in chunks");
  const auto length = header(head, "Content-Length");
  const std::size_t size = length.empty() ? 0 : number(length);
  if (in.size() < end + 4 + size) return std::nullopt;
  return Message{.size = end + 4 + size, .head = head, .body = in.substr(end + 4, size)};
}

std::unique_ptr<Protocol> http_protocol(const Invocation& invocation) {
  return std::make_unique<Http>(invocation);
}

std::unique_ptr<Protocol> nats_protocol(const std::string& subject, const std::string& body) {
  return std::make_unique<Nats>(subject, body);
}

std::unique_ptr<Protocol> redis_protocol(const std::string& key, const std::string& body) {
  return std::make_unique<Redis>(key, body);
}

}  // namespace sterna::bench

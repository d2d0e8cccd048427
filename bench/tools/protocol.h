// What a client writes to hand over one piece of durable work, and how it reads that it was accepted: HTTP,
// NATS, Redis.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sterna::bench {

struct Reply {
  bool accepted = false;
  std::string id{};    // the call id of an accepted invocation; empty for the peers
  std::string text{};  // what else came, for error messages
};

class Protocol {
 public:
  virtual ~Protocol() = default;
  // Written once on a new connection, before the first request. Connections are numbered from 0.
  virtual std::string hello(unsigned connection) const = 0;
  // One request of this connection: the same bytes each time.
  virtual std::string request(unsigned connection) const = 0;
  // Takes one whole reply off the front of `in`; nothing when it has not come yet.
  virtual std::optional<Reply> take_reply(std::string& in) const = 0;
};

struct Message {
  std::size_t size = 0;  // head and body together
  std::string_view head;
  std::string_view body;
};

// One HTTP/1.1 message with a Content-Length at the front of `in`; nothing when it is not whole yet. Throws
// std::runtime_error for chunks, which the servers measured here have no reason to send.
std::optional<Message> http_message(std::string_view in);
// The value of a header, compared without case; empty when it is not there.
std::string_view header(std::string_view head, std::string_view name);

struct Invocation {
  std::string path;      // of async-invoke
  std::string callback;  // URL; empty: none
  std::string body;
};

// POST to async-invoke; 202 is accepted.
std::unique_ptr<Protocol> http_protocol(const Invocation& invocation);
// A publish with an acknowledgement of the stream that stores `subject`.
std::unique_ptr<Protocol> nats_protocol(const std::string& subject, const std::string& body);
// XADD to a stream.
std::unique_ptr<Protocol> redis_protocol(const std::string& key, const std::string& body);

}  // namespace sterna::bench

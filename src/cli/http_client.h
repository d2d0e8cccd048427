// HTTP as the command line needs it: one request at a time over one kept connection. A thin layer over
// libcurl.
#pragma once

#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sterna::cli {

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  std::optional<std::string> body;
  std::FILE* upload = nullptr;      // borrowed; sent chunk by chunk instead of `body`
  std::chrono::seconds timeout{0};  // for the whole exchange, then `unreachable`; 0: as long as it takes
};

struct HttpHead {
  int status = 0;
  std::string status_line;  // "HTTP/1.1 200 OK"
  std::vector<std::pair<std::string, std::string>> headers;

  // The first value, or empty. Names are compared without case.
  std::string_view find(std::string_view name) const;
};

struct HttpReply {
  HttpHead head;
  std::string body;
};

// How a streamed answer is taken. A sink that answers false ends the transfer.
struct HttpSinks {
  std::function<void(const HttpHead&)> on_head;
  std::function<bool(std::string_view)> on_body;
};

inline constexpr std::size_t kMaxReplyBytes = 256U << 20;

// Fails with unavailable: reason `unreachable` when nothing answers at the address, `broken_answer` when the
// answer breaks off, `interrupted` after interrupt(); invalid `bad_url`; io `io_error` when what is to be
// uploaded cannot be read. An answer with any status is a success. One thread.
class HttpClient {
 public:
  // `ca_file`: PEM with the certificates that vouch for an https server; empty: the system's.
  explicit HttpClient(std::string ca_file = {});
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // The whole answer, at most kMaxReplyBytes.
  Result<HttpReply> fetch(const HttpRequest& request);

  // The answer as it comes.
  Status stream(const HttpRequest& request, const HttpSinks& sinks);

  // Ends the exchange that is under way, and every later one at once. Any thread.
  void interrupt();

 private:
  struct Transfer;
  void set_up(Transfer& transfer);

  struct Curl;
  const std::string ca_file_;
  std::unique_ptr<Curl> curl_;
};

}  // namespace sterna::cli

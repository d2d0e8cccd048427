// A receiver of callbacks for trying things: takes any request on loopback, checks its signature, answers
// with one status, and tells what came.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/json.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/http_server.h"

namespace sterna::cli {

enum class SignatureCheck : std::uint8_t {
  kHolds,
  kFails,
  kNone
};  // kNone: there is no secret to check with

struct ReceivedCallback {
  WallTime at;
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // its first kMaxKeptBody bytes
  std::uint64_t bytes = 0;
  SignatureCheck signature = SignatureCheck::kNone;
  std::string reason;  // why the signature fails, e.g. signature_wrong

  // The first value, or empty. Names are compared without case.
  std::string_view find(std::string_view name) const;
};

inline constexpr std::size_t kMaxKeptBody = 64U << 10;

// A line that sums it up, and the beginning of a body that is text.
std::string describe(const ReceivedCallback& callback);
api::OrderedJson to_json(const ReceivedCallback& callback);

struct ListenSettings {
  std::uint16_t port = 0;            // 0: any
  std::vector<std::string> secrets;  // a signature holds when it does with one of them
  unsigned status = 200;
  std::optional<std::uint64_t> count;  // ends after so many
};

// One thread.
class CallbackListener final : private net::HttpService {
 public:
  using Sink = std::function<void(const ReceivedCallback&)>;

  // Listens on 127.0.0.1. Fails with bad_usage when a secret is none, or io, reason `cannot_listen`.
  static Result<std::unique_ptr<CallbackListener>> open(ListenSettings settings, Sink sink);
  CallbackListener(ListenSettings settings, Sink sink);
  CallbackListener(const CallbackListener&) = delete;
  CallbackListener& operator=(const CallbackListener&) = delete;

  std::uint16_t port() const { return server_->port(); }
  // Serves until the settings' `count` is reached. Answers whether no signature failed.
  bool run();

 private:
  std::uint64_t on_head(net::HttpConnection& connection) override;
  void on_request(net::HttpConnection& connection) override;
  void on_refused(net::HttpConnection& connection, unsigned status, const Error& error) override;
  void check_signature(ReceivedCallback& callback, std::string_view body) const;

  const ListenSettings settings_;
  const Sink sink_;
  const SystemClock clock_;
  net::Loop loop_{clock_};
  net::BodyBudget budget_;
  std::unique_ptr<net::HttpServer> server_;
  std::uint64_t received_ = 0;
  bool all_hold_ = true;
};

}  // namespace sterna::cli

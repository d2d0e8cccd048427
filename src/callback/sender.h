// Sends one callback: an HTTP POST of a finished invocation's answer, and what came of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "callback/allow_list.h"

namespace sterna::callback {

// A large body, read in pieces on the sender's thread. It is read in order, once to sign it and once for each
// time that it is sent (redirects).
class BodySource {
 public:
  virtual ~BodySource() = default;
  virtual std::uint64_t size() const = 0;
  // Fills `into` from `offset` on. Answers how many bytes were read: at least 1 before the end of the body.
  virtual Result<std::size_t> read(std::uint64_t offset, std::span<char> into) = 0;
};

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Post {
  std::string url;  // as parse_target (target.h) accepts it
  // Sent as they are, in order, except those that are the sender's own business: connection, framing, Host,
  // webhook-*.
  Headers headers;
  std::string webhook_id;            // the call id
  std::vector<std::string> secrets;  // "whsec_...", newest first; each signs. None: no signature is sent.
  // Of the space, beside the server's own list. Shared because the space may change while the post is under
  // way.
  std::shared_ptr<const AllowList> allow;
  std::string body;                        // a small one
  std::unique_ptr<BodySource> large_body;  // when set, it is sent instead of `body`
};

enum class Verdict : std::uint8_t {
  kDelivered,
  kRetry,          // may work later
  kUndeliverable,  // sending it again cannot help
};

struct PostResult {
  Verdict verdict = Verdict::kRetry;
  std::optional<unsigned> status_code;  // of the last answer, when there was one
  std::string detail;                   // one sentence for users; may be empty when it was delivered
  std::optional<Duration> retry_after;  // not before this time has passed
  // False: nothing was sent, because the target rests after failures or has enough in hand; costs no attempt.
  bool attempted = true;
  bool target_rests = false;  // nothing was sent, and the target has not answered lately
};

class Sender {
 public:
  using Done = std::move_only_function<void(PostResult)>;

  virtual ~Sender() = default;
  // Sends `post`; `done` is called once, in a later turn of the loop, within the deadlines. Not called any
  // more when the sender is destroyed before. Loop's thread.
  virtual void post(Post post, Done done) = 0;
};

}  // namespace sterna::callback

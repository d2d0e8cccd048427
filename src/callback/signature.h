// Signatures of callbacks as in Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256, symmetric.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace sterna::callback {

// Signs one message with several secrets at once; the body may come in pieces.
class Signer {
 public:
  // `timestamp`: seconds since 1970. Fails with invalid `bad_signing_secret` when a secret is not "whsec_"
  // and base64 of 1 to 64 bytes.
  static Result<Signer> create(std::span<const std::string> secrets, std::string_view id,
                               std::int64_t timestamp);
  Signer(Signer&&) noexcept;
  Signer& operator=(Signer&&) noexcept;
  ~Signer();

  void update(std::string_view body);
  // The value of webhook-signature: "v1,<base64>" for each secret, with a space between.
  std::string finish();

 private:
  struct FreeContext;
  struct Mac;
  Signer();

  std::vector<Mac> macs_;
};

// The value of webhook-signature for a whole body.
Result<std::string> sign(std::span<const std::string> secrets, std::string_view id, std::int64_t timestamp,
                         std::string_view body);

// What a receiver got in the headers of the same names.
struct SignatureHeaders {
  std::string_view webhook_id;
  std::string_view webhook_timestamp;
  std::string_view webhook_signature;
};

inline constexpr std::chrono::seconds kSignatureTolerance{300};

// Whether one of the signatures was made with `secret` over this body, not longer than `tolerance` before or
// after `now`. Fails with denied: `signature_missing`, `signature_too_old`, `signature_too_new`,
// `signature_wrong`; with invalid `bad_signing_secret`.
Status verify(std::string_view secret, const SignatureHeaders& headers, std::string_view body, WallTime now,
              std::chrono::seconds tolerance = kSignatureTolerance);

}  // namespace sterna::callback

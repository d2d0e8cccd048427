#include "callback/signature.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <array>
#include <utility>

#include "api/base64.h"
#include "base/number.h"

namespace sterna::callback {
namespace {

constexpr std::string_view kSecretPrefix = "whsec_";
constexpr std::string_view kVersionPrefix = "v1,";
constexpr std::size_t kMaxKeyBytes = 64;
constexpr std::size_t kDigestBytes = 32;

Result<std::string> key_of(std::string_view secret) {
  if (secret.starts_with(kSecretPrefix)) {
    auto key = api::base64_decode(secret.substr(kSecretPrefix.size()));
    if (key && !key->empty() && key->size() <= kMaxKeyBytes) return key;
  }
  return fail(Code::kInvalid, Component::kCallback, "bad_signing_secret",
              "a signing secret is \"whsec_\" followed by 1 to 64 bytes in base64");
}

// Fetched once: looking an algorithm up costs more than signing a short message with it.
EVP_MAC* hmac_algorithm() {
  static EVP_MAC* const algorithm = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  STERNA_ASSERT(algorithm != nullptr);
  return algorithm;
}

std::unexpected<Error> refused(std::string reason, std::string detail) {
  return fail(Code::kDenied, Component::kCallback, std::move(reason), std::move(detail));
}

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

struct Signer::FreeContext {
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};

// One secret's running HMAC.
struct Signer::Mac {
  std::unique_ptr<EVP_MAC_CTX, FreeContext> context;

  explicit Mac(std::string_view key) : context(EVP_MAC_CTX_new(hmac_algorithm())) {
    std::array<char, 7> digest{"SHA256"};
    const std::array<OSSL_PARAM, 2> parameters{OSSL_PARAM_construct_utf8_string("digest", digest.data(), 0),
                                               OSSL_PARAM_construct_end()};
    STERNA_ASSERT(EVP_MAC_init(context.get(), reinterpret_cast<const unsigned char*>(key.data()), key.size(),
                               parameters.data()) == 1);
  }
  void update(std::string_view bytes) {
    STERNA_ASSERT(EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(bytes.data()),
                                 bytes.size()) == 1);
  }
  std::string finish() {
    std::string digest(kDigestBytes, '\0');
    std::size_t size = 0;
    STERNA_ASSERT(EVP_MAC_final(context.get(), reinterpret_cast<unsigned char*>(digest.data()), &size,
                                digest.size()) == 1 &&
                  size == kDigestBytes);
    return digest;
  }
};

Signer::Signer() = default;
Signer::Signer(Signer&&) noexcept = default;
Signer& Signer::operator=(Signer&&) noexcept = default;
Signer::~Signer() = default;

Result<Signer> Signer::create(std::span<const std::string> secrets, std::string_view id,
                              std::int64_t timestamp) {
  const std::string prefix = fmt::format("{}.{}.", id, timestamp);
  Signer signer;
  for (const std::string& secret : secrets) {
    auto key = key_of(secret);
    if (!key) return std::unexpected(key.error());
    signer.macs_.emplace_back(*key).update(prefix);
  }
  return signer;
}

void Signer::update(std::string_view body) {
  for (Mac& mac : macs_) mac.update(body);
}

std::string Signer::finish() {
  std::string value;
  for (Mac& mac : macs_) {
    if (!value.empty()) value += ' ';
    value.append(kVersionPrefix).append(api::base64_encode(mac.finish()));
  }
  return value;
}

Result<std::string> sign(std::span<const std::string> secrets, std::string_view id, std::int64_t timestamp,
                         std::string_view body) {
  auto signer = Signer::create(secrets, id, timestamp);
  if (!signer) return std::unexpected(signer.error());
  signer->update(body);
  return signer->finish();
}

Status verify(std::string_view secret, const SignatureHeaders& headers, std::string_view body, WallTime now,
              std::chrono::seconds tolerance) {
  if (headers.webhook_id.empty() || headers.webhook_timestamp.empty() || headers.webhook_signature.empty()) {
    return refused("signature_missing", "webhook-id, webhook-timestamp and webhook-signature are all needed");
  }
  const auto timestamp = parse_number<std::int64_t>(headers.webhook_timestamp);
  // Within what fits into a clock, so that the difference below cannot overflow.
  if (!timestamp || *timestamp < 0 || *timestamp > 100'000'000'000) {
    return refused("signature_wrong", "webhook-timestamp is not a number of seconds");
  }
  const auto age = now.time_since_epoch() - std::chrono::seconds(*timestamp);
  if (age > tolerance) return refused("signature_too_old", "webhook-timestamp is too far in the past");
  if (age < -tolerance) return refused("signature_too_new", "webhook-timestamp is too far in the future");

  const std::string one(secret);
  const auto expected = sign(std::span(&one, 1), headers.webhook_id, *timestamp, body);
  if (!expected) return std::unexpected(expected.error());
  for (std::string_view rest = headers.webhook_signature; !rest.empty();) {
    const auto space = rest.find(' ');
    if (same(rest.substr(0, space), *expected)) return {};
    rest = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
  }
  return refused("signature_wrong", "no signature in webhook-signature is by this secret over this body");
}

}  // namespace sterna::callback

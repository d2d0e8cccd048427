#include "auth/credentials.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/random.h>

#include <cstring>

#include "base/error.h"

namespace sterna::auth {
namespace {

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kLetters = 43;  // 43 of 62 letters are 256 bits

// Bytes from here on would make some letters likelier than others.
constexpr unsigned kFair = 256 / kAlphabet.size() * kAlphabet.size();

std::string random_text(std::string_view prefix) {
  std::string text(prefix);
  std::array<unsigned char, 64> random{};
  while (text.size() < prefix.size() + kLetters) {
    // Up to 256 bytes come whole once the kernel has been seeded, which it has when servers start.
    STERNA_ASSERT(::getrandom(random.data(), random.size(), 0) == static_cast<ssize_t>(random.size()));
    for (const unsigned char byte : random) {
      if (byte < kFair && text.size() < prefix.size() + kLetters) text += kAlphabet[byte % kAlphabet.size()];
    }
  }
  OPENSSL_cleanse(random.data(), random.size());
  return text;
}

}  // namespace

std::string new_token() {
  return random_text(kTokenPrefix);
}

std::string new_client_secret() {
  return random_text(kSecretPrefix);
}

bool equal(const Digest& a, const Digest& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view bytes_of(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Digest digest_of_bytes(std::string_view bytes) {
  Digest digest{};
  STERNA_ASSERT(bytes.size() == digest.size());
  std::memcpy(digest.data(), bytes.data(), digest.size());
  return digest;
}

// OpenSSL 3 looks algorithms up by name, which costs more than the hash: once is enough.
struct Hasher::Context {
  EVP_MD* sha256 = ::EVP_MD_fetch(nullptr, "SHA256", nullptr);
  EVP_MD_CTX* state = ::EVP_MD_CTX_new();

  Context() { STERNA_ASSERT(sha256 != nullptr && state != nullptr); }
  ~Context() {
    ::EVP_MD_CTX_free(state);
    ::EVP_MD_free(sha256);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
};

Hasher::Hasher() : context_(std::make_unique<Context>()) {}
Hasher::~Hasher() = default;

Digest Hasher::hash(std::string_view text) {
  Digest digest{};
  unsigned size = 0;
  const bool done = ::EVP_DigestInit_ex2(context_->state, context_->sha256, nullptr) == 1 &&
                    ::EVP_DigestUpdate(context_->state, text.data(), text.size()) == 1 &&
                    ::EVP_DigestFinal_ex(context_->state, digest.data(), &size) == 1;
  STERNA_ASSERT(done && size == digest.size());
  return digest;
}

}  // namespace sterna::auth

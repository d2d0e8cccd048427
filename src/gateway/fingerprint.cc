#include "gateway/fingerprint.h"

#include <openssl/evp.h>

#include <array>
#include <memory>

namespace sterna::gateway {
namespace {

constexpr std::size_t kPiece = 256U << 10U;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    STERNA_ASSERT(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void add(std::string_view bytes) {
    STERNA_ASSERT(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  // With its length, so that parts cannot run into each other.
  void add_field(std::string_view bytes) {
    add(std::to_string(bytes.size()));
    add(":");
    add(bytes);
  }
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    STERNA_ASSERT(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1);
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (unsigned i = 0; i < size; ++i) text.append({kDigits[digest[i] >> 4U], kDigits[digest[i] & 15U]});
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

Result<std::string> fingerprint_of(std::string_view method, std::string_view path, std::string_view query,
                                   const net::Body& body) {
  Sha256 hash;
  for (const std::string_view part : {method, path, query}) hash.add_field(part);
  std::string piece;
  for (std::uint64_t offset = 0; offset < body.size(); offset += piece.size()) {
    piece.clear();
    if (const auto got = body.read(offset, kPiece, piece); !got) return std::unexpected(got.error());
    hash.add(piece);
  }
  return hash.hex();
}

std::string callers_key(std::string_view app, const net::HttpRequest& request, std::string_view key) {
  Sha256 hash;
  hash.add_field(key);
  hash.add_field(app);
  if (!app.empty()) return hash.hex();
  for (const std::string_view name : {"authorization", "cookie"}) {
    for (const net::Header& header : request.headers) {
      if (!net::equal_ignoring_case(header.name, name)) continue;
      hash.add(name);
      hash.add_field(header.value);
    }
  }
  return hash.hex();
}

}  // namespace sterna::gateway

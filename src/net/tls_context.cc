#include "net/tls_context.h"

#include <openssl/err.h>
#include <sys/stat.h>

#include <array>
#include <string>

#include "base/log.h"

namespace sterna::net {
namespace {

// The intermediate profile of Mozilla's recommendations, without the finite-field key exchange.
constexpr const char* kCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr std::string_view kProtocols = "\x02h2\x08http/1.1";  // ours, the first one preferred

std::string openssl_reason() {
  std::array<char, 256> text{};
  const unsigned long code = ERR_get_error();
  if (code == 0) return "unknown";
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

std::unexpected<Error> bad_certificate(const std::string& what) {
  return fail(Code::kInvalid, Component::kGateway, "bad_certificate", what + ": " + openssl_reason());
}

// The server chooses; a client whose list has nothing of ours is refused (RFC 7301 3.2).
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* length, const unsigned char* offered,
                    unsigned int bytes, void*) {
  unsigned char* found = nullptr;
  const auto* ours = reinterpret_cast<const unsigned char*>(kProtocols.data());
  if (SSL_select_next_proto(&found, length, ours, static_cast<unsigned>(kProtocols.size()), offered, bytes) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

SslPtr TlsContext::session() const {
  SslPtr session(SSL_new(context_.get()));
  if (session) SSL_set_accept_state(session.get());
  return session;
}

TlsContext::Stamp TlsContext::stamp_of(const std::filesystem::path& file) {
  struct stat status{};
  if (::stat(file.c_str(), &status) != 0) return {};
  constexpr std::int64_t kSecond = 1'000'000'000;
  return {.inode = static_cast<std::int64_t>(status.st_ino),
          .size = status.st_size,
          .changed_ns = status.st_mtim.tv_sec * kSecond + status.st_mtim.tv_nsec};
}

TlsContext::Stamps TlsContext::stamps_of(const TlsFiles& files) {
  return {.certificate = stamp_of(files.certificate), .key = stamp_of(files.key)};
}

Result<TlsContext::ContextPtr> TlsContext::read(const TlsFiles& files) {
  ERR_clear_error();
  ContextPtr context(SSL_CTX_new(TLS_server_method()));
  if (!context) return bad_certificate("TLS cannot be set up");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                         SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_cipher_list(context.get(), kCiphers);
  SSL_CTX_set_alpn_select_cb(context.get(), &choose_protocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1)
    return bad_certificate("the certificate " + files.certificate.string() + " cannot be used");
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return bad_certificate("the key " + files.key.string() + " cannot be used");
  if (SSL_CTX_check_private_key(context.get()) != 1)
    return bad_certificate("the key " + files.key.string() + " is not that of the certificate");
  return context;
}

Result<std::unique_ptr<TlsContext>> TlsContext::load(TlsFiles files) {
  const Stamps stamps = stamps_of(files);  // before reading: a change meanwhile is seen later
  auto context = read(files);
  if (!context) return std::unexpected(context.error());
  return std::unique_ptr<TlsContext>(new TlsContext(std::move(files), std::move(*context), stamps));
}

void TlsContext::refresh() {
  const Stamps stamps = stamps_of(files_);
  if (stamps == stamps_) return;
  stamps_ = stamps;
  auto context = read(files_);
  if (!context) {
    log::warn("the changed certificate is not used", {{"detail", std::string_view(context.error().detail)}});
    return;
  }
  context_ = std::move(*context);
  log::info("the certificate was read again", {});
}

}  // namespace sterna::net

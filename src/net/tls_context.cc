#include "net/tls_context.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/log.h"
#include "base/unique_fd.h"

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

std::unexpected<Error> bad_file(const std::filesystem::path& file, std::string_view why) {
  return fail(Code::kInvalid, Component::kGateway, "bad_certificate",
              file.string().append(" cannot be used: ").append(why));
}

// The event loop waits for this: never for whoever is to write into a pipe, and not for a whole disk.
Result<std::string> contents_of(const std::filesystem::path& file) {
  constexpr std::size_t kMaxBytes = 1U << 20;
  const UniqueFd opened(::open(file.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status{};
  if (!opened || ::fstat(opened.get(), &status) != 0) return bad_file(file, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return bad_file(file, "it is no regular file");
  std::string contents(kMaxBytes + 1, '\0');
  std::size_t bytes = 0;
  while (bytes < contents.size()) {
    const ssize_t got = ::read(opened.get(), contents.data() + bytes, contents.size() - bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return bad_file(file, std::strerror(errno));
    if (got == 0) break;
    bytes += static_cast<std::size_t>(got);
  }
  if (bytes > kMaxBytes) return bad_file(file, "it is larger than 1 MiB");
  contents.resize(bytes);
  return contents;
}

using BioPtr = std::unique_ptr<BIO, decltype([](BIO* bio) { BIO_free(bio); })>;
using X509Ptr = std::unique_ptr<X509, decltype([](X509* certificate) { X509_free(certificate); })>;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype([](EVP_PKEY* key) { EVP_PKEY_free(key); })>;

// OpenSSL's own would ask at the terminal, and wait.
int no_password(char*, int, int, void*) {
  return -1;
}

BioPtr bio_of(std::string_view pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// The chain is whatever stands behind the certificate, up to the end.
bool use_certificates(SSL_CTX* context, std::string_view pem) {
  const BioPtr file = bio_of(pem);
  const X509Ptr own(PEM_read_bio_X509_AUX(file.get(), nullptr, &no_password, nullptr));
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1) return false;
  while (X509Ptr next{PEM_read_bio_X509(file.get(), nullptr, &no_password, nullptr)}) {
    if (SSL_CTX_add0_chain_cert(context, next.get()) != 1) return false;
    static_cast<void>(next.release());  // the context's own from now on
  }
  const unsigned long end = ERR_peek_last_error();
  if (ERR_GET_LIB(end) != ERR_LIB_PEM || ERR_GET_REASON(end) != PEM_R_NO_START_LINE) return false;
  ERR_clear_error();
  return true;
}

bool use_key(SSL_CTX* context, std::string_view pem) {
  const BioPtr file = bio_of(pem);
  const KeyPtr key(PEM_read_bio_PrivateKey(file.get(), nullptr, &no_password, nullptr));
  return key && SSL_CTX_use_PrivateKey(context, key.get()) == 1;
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
  const auto certificate = contents_of(files.certificate);
  if (!certificate) return std::unexpected(certificate.error());
  const auto key = contents_of(files.key);
  if (!key) return std::unexpected(key.error());
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
  if (!use_certificates(context.get(), *certificate))
    return bad_certificate("the certificate " + files.certificate.string() + " cannot be used");
  if (!use_key(context.get(), *key))
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

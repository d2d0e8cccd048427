// The server's certificate and the rules of TLS, read again when the files change.
#pragma once

#include <filesystem>
#include <memory>

#include "base/error.h"
#include "net/transport.h"

namespace sterna::net {

// PEM files: the certificate with its chain behind it, and its private key, which has no password. Regular
// ones of at most 1 MiB.
struct TlsFiles {
  std::filesystem::path certificate;
  std::filesystem::path key;
};

// One thread.
class TlsContext {
 public:
  // TLS 1.2 and 1.3, forward secrecy and AEAD ciphers only, ALPN "h2" and "http/1.1". Fails with invalid,
  // reason `bad_certificate`: what cannot be read, or a key that belongs to another certificate.
  static Result<std::unique_ptr<TlsContext>> load(TlsFiles files);

  // A session for one client, in the accepting state; null when memory is out.
  SslPtr session() const;

  // Looks whether the files have changed since they were read, and reads them then: sessions from now on have
  // the new certificate, those under way keep theirs. What cannot be used is logged once and changes nothing.
  void refresh();

 private:
  struct FreeContext {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  using ContextPtr = std::unique_ptr<SSL_CTX, FreeContext>;
  // What tells two states of a file apart without reading it.
  struct Stamp {
    std::int64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t changed_ns = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  struct Stamps {
    Stamp certificate;
    Stamp key;
    friend bool operator==(const Stamps&, const Stamps&) = default;
  };

  TlsContext(TlsFiles files, ContextPtr context, const Stamps& stamps)
      : files_(std::move(files)), context_(std::move(context)), stamps_(stamps) {}
  static Stamp stamp_of(const std::filesystem::path& file);
  static Stamps stamps_of(const TlsFiles& files);
  static Result<ContextPtr> read(const TlsFiles& files);

  const TlsFiles files_;
  ContextPtr context_;
  Stamps stamps_;
};

}  // namespace sterna::net

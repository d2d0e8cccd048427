// A server of our own for `sterna dev`: this same program, with a data directory that is gone afterwards.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace sterna::cli {

class DevServer {
 public:
  // Starts it on 127.0.0.1 and waits until it listens; `port` 0: any. Fails with unavailable, reason
  // `server_did_not_start`, with the last line that it said. Call from the thread that lives longest: the
  // server gets SIGTERM when that ends, however it ends.
  static Result<std::unique_ptr<DevServer>> start(std::uint16_t port);

  // Stops it: SIGTERM, and SIGKILL when that takes too long. Its data directory is removed.
  ~DevServer();
  DevServer(const DevServer&) = delete;
  DevServer& operator=(const DevServer&) = delete;

  const std::string& url() const { return url_; }
  // Becomes readable when the server has ended.
  int ended_fd() const { return process_.get(); }
  // The last line of its log.
  std::string last_words() const;

 private:
  explicit DevServer(std::filesystem::path folder) : folder_(std::move(folder)) {}

  Status launch(std::uint16_t port);
  Status wait_until_listening();
  bool ends_within(int milliseconds) const;

  const std::filesystem::path folder_;
  pid_t pid_ = -1;
  UniqueFd process_;
  std::string url_;
};

}  // namespace sterna::cli

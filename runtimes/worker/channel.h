// The worker's end of the connection: reads and writes frames, claims calls, frames log lines. All state is
// guarded by one lock, the guard; it is given away while the kernel is waited for.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "wire/frame.h"
#include "wire/messages.h"
#include "worker/guard.h"
#include "worker/inbox.h"
#include "worker/log_lines.h"

namespace sterna::worker {

// Which call a frame is about.
struct CallId {
  std::uint64_t call = 0;
  std::uint16_t slot = 0;
};

enum class Wait : std::uint8_t { kNo, kYes };

class Channel {
 public:
  // Takes both descriptors; the guard must outlive it. Fails with io when the claim page cannot be mapped.
  static Result<std::unique_ptr<Channel>> open(UniqueFd socket, UniqueFd claim, Guard& guard);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel();

  enum class Filled : std::uint8_t { kBytes, kNothing, kEnd };
  // One read of the socket into `reader`. kEnd: the server is gone, or this process is a fork of the worker.
  Filled fill(Wait wait);
  wire::FrameReader& reader() { return reader_; }
  Inbox& inbox() { return inbox_; }

  // Frames are appended here and leave with the next flush.
  std::string& out() { return out_; }
  // Sends all that was appended; waits for room. Another thread that is sending already takes it along.
  void flush();
  // Sends what the socket takes now. Answers whether all is gone.
  bool try_flush();

  // True when the call is ours: user code may run for it. Otherwise it was taken back, and RECALLED is
  // appended.
  bool claim(std::uint16_t slot, std::uint64_t call);

  wire::ClaimPage& claims() { return *page_; }
  Guard& guard() { return guard_; }

  void fail_call(std::uint16_t slot, std::uint64_t call, const wire::Failed& failed);
  // Sends at once: what a handler says before it hangs or crashes must not be lost with it.
  void log(std::uint64_t call, wire::Stream stream, std::string_view text);
  LogLines& lines() { return lines_; }

  // The server is gone, or this process is a fork of the worker: nothing can be sent any more.
  bool closed() const { return !socket_; }

  int fd() const { return socket_.get(); }

  // The call whose handler runs; 0 outside. Only where one call runs at a time.
  std::uint64_t current_call = 0;

 private:
  Channel(UniqueFd socket, wire::ClaimPage* page, Guard& guard);
  static void after_fork_in_child();

  enum class Sent : std::uint8_t { kAll, kPart };
  Sent send_some();
  void close() { socket_.reset(); }

  Guard& guard_;
  UniqueFd socket_;
  wire::ClaimPage* page_;
  wire::FrameReader reader_;
  Inbox inbox_;
  LogLines lines_;
  std::string out_;
  std::string sending_;  // taken from out_ by the thread that sends
  std::size_t sent_ = 0;
  bool is_sending_ = false;
  std::mutex sending_mutex_;  // held while sending; waited for only without the guard
};

}  // namespace sterna::worker

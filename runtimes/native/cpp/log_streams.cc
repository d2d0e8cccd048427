#include "native/cpp/log_streams.h"

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <streambuf>

namespace sterna::native {
namespace {

thread_local std::uint64_t owner = 0;

// Where a stream's text goes.
struct Sink {
  worker::Channel& channel;
  std::mutex& mutex;
  wire::Stream stream;

  void write(std::string_view text) const {
    const std::scoped_lock lock(mutex);
    // A fork of the worker may not use the channel.
    if (channel.closed()) {
      static_cast<void>(!::write(static_cast<int>(stream), text.data(), text.size()));
    } else {
      channel.log(owner, stream, text);
    }
  }
};

class SinkBuffer final : public std::streambuf {
 public:
  explicit SinkBuffer(const Sink& sink) : sink_(sink) {}

 private:
  int_type overflow(int_type c) override {
    const char byte = traits_type::to_char_type(c);
    if (!traits_type::eq_int_type(c, traits_type::eof())) sink_.write({&byte, 1});
    return traits_type::not_eof(c);
  }
  std::streamsize xsputn(const char* text, std::streamsize size) override {
    sink_.write({text, static_cast<std::size_t>(size)});
    return size;
  }

  const Sink& sink_;
};

FILE* open_c_stream(Sink& sink) {
  FILE* const file = ::fopencookie(&sink, "w",
                                   {.read = nullptr,
                                    .write = [](void* cookie, const char* text, std::size_t size) -> ssize_t {
                                      static_cast<Sink*>(cookie)->write({text, size});
                                      return static_cast<ssize_t>(size);
                                    },
                                    .seek = nullptr,
                                    .close = nullptr});
  // What is not a whole line yet is kept by call (worker::LogLines), not in one buffer of all threads.
  if (file != nullptr) std::setvbuf(file, nullptr, _IONBF, 0);
  return file;
}

}  // namespace

void replace_log_streams(worker::Channel& channel, std::mutex& mutex) {
  // Never destroyed: user code may print until the very end of the process.
  auto& out = *new Sink{channel, mutex, wire::Stream::kStdout};
  auto& err = *new Sink{channel, mutex, wire::Stream::kStderr};
  auto* const errors = new SinkBuffer(err);
  std::cout.rdbuf(new SinkBuffer(out));
  std::cerr.rdbuf(errors);
  std::clog.rdbuf(errors);
  if (FILE* const file = open_c_stream(out)) stdout = file;
  if (FILE* const file = open_c_stream(err)) stderr = file;
}

void flush_log_streams() {
  std::fflush(stdout);
  std::fflush(stderr);
}

LogOwner::LogOwner(std::uint64_t call) {
  owner = call;
}
LogOwner::~LogOwner() {
  owner = 0;
}

}  // namespace sterna::native

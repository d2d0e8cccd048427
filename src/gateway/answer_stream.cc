#include "gateway/answer_stream.h"

#include "gateway/cors.h"
#include "net/http_text.h"
#include "wire/messages.h"

namespace sterna::gateway {
namespace {

constexpr std::size_t kPiece = 256U << 10U;
constexpr std::uint64_t kSmall = 64U << 10U;  // stands in memory: needs no other thread

}  // namespace

void AnswerStream::start(net::Loop& loop, net::Background& thread, net::HttpConnection& connection,
                         queue::StoredAnswer answer, Meters meters, std::string_view taken) {
  wire::HeaderWalk walk(answer.headers, answer.header_count);
  std::string_view name;
  std::string_view value;
  while (walk.next(name, value)) {
    if (!net::equal_ignoring_case(name, taken)) copy_function_header(connection, name, value);
  }
  const std::uint64_t size = answer.body->size();
  if (connection.request().method == "HEAD") {
    connection.observe(nullptr);
    connection.begin_stream(size);
    return connection.finish();
  }
  if (size <= kSmall) {
    std::string body;
    const auto got = answer.body->read(0, size, body);
    connection.observe(nullptr);
    meters.take_bytes(body.size(), loop.now());
    return got && body.size() == size ? connection.send(body) : connection.abort();
  }
  auto stream =
      std::make_shared<AnswerStream>(loop, thread, connection, std::move(answer.body), std::move(meters));
  connection.observe(stream.get());
  connection.begin_stream(size);
  stream->self_ = stream;
  stream->read_on();
}

// What is being read, or waits, ends by itself.
void AnswerStream::on_client_gone() {
  connection_ = nullptr;
  if (!reading_) self_.reset();  // that was the last one
}

void AnswerStream::read_on() {
  if (connection_ == nullptr || reading_) return;
  reading_ = true;
  if (const Duration wait = meters_.bytes_wait(loop_.now()); wait > Duration::zero()) {
    loop_.after(wait, [stream = shared_from_this()] {
      stream->reading_ = false;
      return stream->connection_ == nullptr ? stream->self_.reset() : stream->read_on();
    });
    return;
  }
  thread_.run([stream = shared_from_this(), offset = sent_] {
    std::string piece;
    auto got = stream->body_->read(offset, kPiece, piece);
    Result<std::string> read = got ? Result<std::string>(std::move(piece)) : std::unexpected(got.error());
    stream->loop_.post([stream, read = std::move(read)] { stream->on_piece(read); });
  });
}

void AnswerStream::on_piece(const Result<std::string>& piece) {
  reading_ = false;
  const std::shared_ptr<AnswerStream> keep = self_;
  if (connection_ == nullptr) return self_.reset();
  const std::uint64_t left = body_->size() - sent_;
  if (!piece || piece->empty() || piece->size() > left) {  // it was removed meanwhile, or is another one
    connection_->observe(nullptr);
    connection_->abort();
    return self_.reset();
  }
  sent_ += piece->size();
  meters_.take_bytes(piece->size(), loop_.now());
  connection_->write(*piece);
  if (sent_ < body_->size()) {
    if (connection_->buffered() <= net::kLowWater) read_on();
    return;
  }
  connection_->observe(nullptr);
  connection_->finish();
  self_.reset();
}

}  // namespace sterna::gateway

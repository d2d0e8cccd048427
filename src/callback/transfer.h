// One post on its way: a curl handle, what is sent with it, and what its answers come to. Redirects are
// followed here, one request after the other, each with the address guard.
#pragma once

#include <curl/curl.h>

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "callback/header_lines.h"
#include "callback/signature.h"
#include "callback/target_table.h"

namespace sterna::callback {

class Transfer;

class AnswerObserver {
 public:
  // The final answer's head is there: see Transfer::has_answer. From within curl, which must not be called
  // here.
  virtual void on_answer_head(Transfer& transfer) = 0;

 protected:
  ~AnswerObserver() = default;
};

// Used for one post after the other, so that handle and buffers are made once. The sender's thread.
class Transfer {
 public:
  // What to do with the handle after a step.
  enum class Step : std::uint8_t {
    kSign,  // call `sign_some`
    kSend,  // give the handle to curl, then its code to `on_done`; earlier, with CURLE_OK, once `has_answer`
    kOver,  // take the post and its `result`
  };

  // The references must outlive it. `resolved`: shared by all transfers, may be null.
  Transfer(const SenderLimits& limits, const AllowList& server_allow, const Clock& clock,
           curl_slist* resolved, AnswerObserver& observer);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  CURL* handle() const { return handle_; }
  static Transfer& of(CURL* handle);

  Step begin(PendingPostPtr pending);
  // Reads one more piece of a large body for its signature.
  Step sign_some();
  Step on_done(CURLcode code);
  // All that counts is known: the head of the final answer has ended, and one that takes the post (2xx)
  // stands for a post that has left as a whole.
  bool has_answer() const;

  PendingPostPtr take_post() { return std::move(pending_); }
  PostResult take_result() { return std::move(result_); }
  Reach reach() const { return reach_; }

 private:
  // What the last request was answered.
  struct Answer {
    unsigned status = 0;
    bool head_ended = false;
    std::size_t head_bytes = 0;
    std::size_t body_bytes = 0;
    std::string retry_after;
    std::string location;

    bool is_final() const { return head_ended && status >= 200; }
  };

  void set_options(curl_slist* resolved);
  Step end(PostResult result, Reach reach);
  Step end_signing(std::string signature);
  Step send();
  Step follow();
  Step end_answered();
  Step end_forbidden(const Error& error);
  void write_headers();
  bool other_address_was_tried(CURLcode code) const;
  bool has_large_head(CURLcode code) const;
  Duration time_limit() const;
  std::uint64_t body_size() const;
  Status check(const IpAddress& address) const;
  bool take_header_line(std::string_view line);

  static curl_socket_t on_open_socket(void* self, curlsocktype purpose, curl_sockaddr* address);
  static int on_connected(void* self, char* remote, char* local, int remote_port, int local_port);
  static std::size_t on_header(char* data, std::size_t, std::size_t bytes, void* self);
  static std::size_t on_answer_body(char* data, std::size_t, std::size_t bytes, void* self);
  static std::size_t on_read_body(char* into, std::size_t, std::size_t bytes, void* self);
  static int on_seek_body(void* self, curl_off_t offset, int origin);

  const SenderLimits& limits_;
  const AllowList& server_allow_;
  const Clock& clock_;
  AnswerObserver& observer_;
  CURL* const handle_;
  std::array<char, CURL_ERROR_SIZE> error_text_{};
  HeaderLines headers_;

  PendingPostPtr pending_;
  Target target_;  // of the current request
  unsigned redirects_ = 0;
  bool same_origin_ = true;  // all requests so far went to one origin
  MonotonicTime deadline_;
  std::string timestamp_;
  std::string signature_;
  std::optional<Signer> signer_;
  std::uint64_t body_offset_ = 0;
  bool source_failed_ = false;

  Answer answer_;
  std::optional<Error> forbidden_;  // why the last address was refused
  bool opened_ = false;             // one of the addresses was allowed
  bool fresh_ = false;              // the request must not use a connection of another post

  PostResult result_;
  Reach reach_ = Reach::kUnknown;
};

}  // namespace sterna::callback

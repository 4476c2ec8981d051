import './base.css';
import './batch.css';
import './compare.css';
import './panel.css';
import './images.css';
import './thread.css';
